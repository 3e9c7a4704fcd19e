"""Hold what one visitor looks at: the input, the options, the tokens chosen by hand, the link."""
