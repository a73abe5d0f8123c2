// A boot image as its parts: literal bytes, and whole files of the release that it contains. A
// release brings its rescue like this, because nearly all of it is in the root already.
//
//   "HOSTIP1\n", the SHA-256 of the image, then until the end of the file:
//     a number, that many literal bytes, a number, and a path of that many bytes from the root on;
//     "" is no file
//
// Numbers have seven bits a byte (updater/release/varint.h). The SHA-256 tells when a file is not
// the one that the image was made with; what is signed is compared by whoever uses the image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/unique_fd.h"

namespace hostos {

inline constexpr std::string_view kImagePartsMagic = "HOSTIP1\n";

// What comes first, and one pair of literal bytes and a file after them.
std::string WriteImageHeader(const Digest& image);
std::string WriteImagePart(std::string_view literals, std::string_view path);

// Hands out the image in pieces. `open` opens a file of the release. kNotTrusted when the parts are
// none, when the image is larger than `most` bytes, or when it is another.
using OpenPart = std::function<Result<UniqueFd>(const std::string& path)>;
using ImageSink = std::function<Result<>(std::span<const std::byte>)>;
Result<> AssembleImage(int parts, uint64_t most, const OpenPart& open, const ImageSink& sink);

// The image that `file` is, or whose parts it is: then in an unnamed file in `directory`.
Result<UniqueFd> OpenImage(UniqueFd file, uint64_t most, const OpenPart& open,
                           const std::string& directory);

}  // namespace hostos
