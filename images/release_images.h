// Everything that people download of a release, in one directory: its disk in the formats of
// hypervisors and clouds, its root for containers and for WSL, and a signed list of digests.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "images/checksums.h"
#include "images/disk.h"
#include "images/image_format.h"
#include "images/publish/secret_key.h"
#include "updater/source/scan.h"

namespace hostos {

struct ImagesOptions {
  std::string output;  // a directory, which must not be there yet
  std::vector<ImageFormat> formats;
  DiskOptions disk;  // without output and format
};

struct MadeImage {
  ImageFormat format = ImageFormat::kRawZst;
  SummedFile file;
};

struct ReleaseImages {
  Release release;
  std::vector<MadeImage> images;
};

// "hostos-1.4.0-x86-64", and "hostos-1.4.0-preview-x86-64" of a release that calls itself a
// preview in its os-release: what the files are called before their suffix.
Result<std::string> ImageStem(const Scan& scan, const Release& release);

// Makes the directory, as a whole or not at all. kUsage when one of the keys is not trusted by
// query.keys, because then nobody could check its signature.
Result<ReleaseImages> MakeImages(const ReleaseQuery& query, const ImagesOptions& options,
                                 std::span<const SecretKey> keys, Progress& progress);

}  // namespace hostos
