"""甘肃省“互联网+监管”系统: supervision acts by the national exchange."""
