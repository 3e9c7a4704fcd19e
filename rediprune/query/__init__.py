"""Make the query: a vector built from the question, which visual tokens are compared with."""
