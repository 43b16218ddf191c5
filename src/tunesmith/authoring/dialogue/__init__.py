"""Who says what in a text: lines of scripts and quotations of novels."""
