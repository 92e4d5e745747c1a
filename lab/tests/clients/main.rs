//! Real clients push and pull real images: skopeo, podman, buildah, crane, containerd, cosign.

mod containerd;
mod refusal;
mod signing;
mod transfer;
mod world;
