"""One file per family of scores; `tunesmith.evaluation.scoring` finds them here."""
