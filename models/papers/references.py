"""Networks that the MobileNet papers compare with, defined for their cost only."""

from collections.abc import Callable

from models.network.network import Network
from models.papers.alexnet import alexnet
from models.papers.googlenet import googlenet
from models.papers.inception_v3 import inception_v3
from models.papers.resnet import resnet50
from models.papers.squeezenet import squeezenet
from models.papers.vgg import vgg16

# by name; the argument is the number of classes
REFERENCES: dict[str, Callable[[int], Network]] = {
    "AlexNet": alexnet,
    "VGG-16": vgg16,
    "GoogLeNet": googlenet,
    "ResNet-50": resnet50,
    "SqueezeNet 1.0": squeezenet,
    "Inception-V3": inception_v3,
}
