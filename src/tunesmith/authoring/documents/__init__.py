"""One reader per kind of document: a module registers a generator of blocks under the suffixes it reads.

A reader yields what it finds in reading order (`Title`, `Note`, `Heading`, `Passage` of authoring/document.py) and
holds no more of a file than it must. Libraries are imported inside the reader.
"""
