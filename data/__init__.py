"""Images in, as uint8 tensors; batches out, by index; augmentation on the device."""
