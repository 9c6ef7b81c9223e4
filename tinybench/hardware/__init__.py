"""The machine: devices, GPU memory by NVML, process memory, and the machine certificate."""
