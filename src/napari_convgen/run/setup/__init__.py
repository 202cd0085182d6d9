"""What every verb needs before it starts: checked input, objects built from a configuration, a device, memory."""
