"""BookNLP's real code, run end to end with random weights: does everything around it still fit?

The trained weights are not needed and not used, so nothing is said about how well it reads, and the
people it finds are nobody. Set-up, in an environment of its own:

    python3.11 -m venv /tmp/booknlp
    /tmp/booknlp/bin/pip install 'setuptools<81' 'spacy>=3.7,<3.9' 'transformers>=4.40,<5' torch
    /tmp/booknlp/bin/pip install --no-deps booknlp==1.0.8
    python -m bench.booknlp_smoke --python /tmp/booknlp/bin/python
"""
