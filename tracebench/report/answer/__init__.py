"""The answer at the end of a run: headline, sentences, table, doubts and gates."""
