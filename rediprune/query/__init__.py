"""Make the query: the vector, built from the question, that relevance of visual tokens is measured against."""
