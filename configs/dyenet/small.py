_base_ = ["../_base_/models/small.py"]
