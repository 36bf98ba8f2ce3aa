_base_ = ["../_base_/models/r101.py"]
