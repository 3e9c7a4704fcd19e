"""Make the query: the vector, built from the question, against which visual tokens are measured."""
