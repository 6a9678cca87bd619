"""Fire danger: what the weather of a zone makes of a spark, day by day; never that there is a fire.

Read top to bottom as the number goes: `noon` (what the store knows becomes the inputs of a day), `fwi` and `drought`
(the formulas, pure), `course` (carried from day to day, each number recomputable from what is kept), `book` (where it
is kept), `levels` (what the province's law makes of it), `watch` (the loop), `bulletin` (what people are told).
"""
