// An OCI image of one layer, as a tar archive of its layout (OCI image specification 1.1), which
// podman, skopeo and containerd load.
#pragma once

#include <cstdint>
#include <string>

#include "updater/base/digest.h"
#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

struct OciLayer {
  Digest digest;      // of the layer as it is stored
  uint64_t size = 0;  // bytes of that
  Digest diff_id;     // of the tar archive in it
};

// The JSON documents that describe the image. They are the same for the same release and layer.
struct OciDocuments {
  std::string config, manifest, index;
};
OciDocuments DescribeOci(const Release& release, const OciLayer& layer);

inline constexpr std::string_view kOciLayout = R"({"imageLayoutVersion":"1.0.0"})";
// Where the layout has a blob.
std::string BlobPath(const Digest& digest);

// Writes the archive to `path`, with the layer from `layer_file`.
Result<> WriteOciArchive(const std::string& path, const Release& release, const OciLayer& layer,
                         const std::string& layer_file);

}  // namespace hostos
