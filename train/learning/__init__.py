"""From an optimizer batch to the policy's gradients."""
