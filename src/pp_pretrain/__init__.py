"""How the backbone in data/weights was made: VGG16 trained from scratch on simulated photographs.

A tool that stands on `pp_lib`, whose chapters need nothing of it: many photographs in one array,
a long run that can be stopped anywhere, and the files that are shipped.

    photopilot pretrain CONFIG.json --out runs/camera
"""
