"""Show `rediprune` as a Gradio page.

page      the blocks, their layout and events; web files become Gradio components
state     what one visitor looks at: sources, options, links
answer    what a visitor asks for: answers, comparisons, saved runs
views     what the cards and the explorer are given to show
story     how the method worked on this input, with this run's numbers
export    pictures, films and run files to save
model     the model menu, and the model that runs on a lent GPU
api       the same work as endpoints for programs, and as MCP tools
server    limits for callers, hosts, uploads and fetches; sentences for refusals
start     the address, the folder for uploads and the signals of the page's process
web       all that the browser reads: scripts, styles and HTML
"""
