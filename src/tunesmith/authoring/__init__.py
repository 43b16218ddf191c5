"""From documents to data sets: reading, cutting, asking a model, filtering, converting, publishing."""
