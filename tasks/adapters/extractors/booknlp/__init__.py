"""BookNLP (Bamman et al., MIT licence) as an extractor: run in a process of its own, then merged.

`child` is that process, `process` watches it, `output` reads its files, `people` tells which of
its many clusters are one person, `chapters` puts all into our own form, `adapter` is the tool.

What was run: the code of booknlp 1.0.8 from end to end, with random weights of the small
architecture (`bench/booknlp_smoke`), and everything after it on outputs that BookNLP's own big
model has published for Emma. Its trained weights could not be had, so they were never run here.
"""
