# SPDX-License-Identifier: MIT
"""The lab: a virtual machine with real PCI, real DMABUFs and soft RDMA."""
