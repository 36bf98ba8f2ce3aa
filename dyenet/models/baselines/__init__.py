"""What DyeNet is compared with: VS-ReID's own networks and MSK."""

from dyenet.models.baselines.detection import FasterRCNN
from dyenet.models.baselines.identification import IdentificationNet
from dyenet.models.baselines.msk import MSK
from dyenet.models.baselines.vsreid import MaskPropagationNetwork, VSReID

__all__ = ["MSK", "FasterRCNN", "IdentificationNet", "MaskPropagationNetwork", "VSReID"]
