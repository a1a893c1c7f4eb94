"""Optical flow: where each pixel of one frame lies in another. One estimator, one class."""

from vidream.flow.estimator import Field, FlowEstimator, flow_names, load_flow

__all__ = ["Field", "FlowEstimator", "flow_names", "load_flow"]
