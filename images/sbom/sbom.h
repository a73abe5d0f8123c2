// The software bill of materials of a root: what DescribeRoot() finds in it, written as CycloneDX
// 1.6 and as SPDX 2.3. The same root and time give the same bytes. docs/sbom.md says what is in it,
// and docs/decisions/0011-one-sbom-for-three-scanners.md why it is written so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "images/sbom/copyright.h"
#include "images/sbom/dpkg.h"
#include "images/sbom/root_files.h"
#include "updater/base/digest.h"
#include "updater/base/result.h"

namespace hostos {

// What os-release says of the distribution and of the image.
struct Identity {
  std::string id, version_id, codename, pretty_name;  // ID=debian, VERSION_ID=13
  std::string name, image_version, vendor;            // NAME=HostOS, IMAGE_VERSION
  std::string support_end;                            // "2028-08-09"
};

// kFailed when an os-release lacks what an SBOM is made of.
Result<Identity> ParseIdentity(std::string_view os_release);

struct SbomPackage : DebianPackage {
  Licences licences;
};

struct SbomSource : DebianSource {
  // Of a package in the root. The others are only in parts of packages (built_using).
  bool built_package = false;
};

// An executable file that no package brought.
struct SbomProgram {
  std::string path;
  Digest digest;
  std::vector<size_t> packages;      // whose libraries it loads
  std::vector<std::string> unknown;  // libraries that it asks for, and no package has
};

// A file that boots, and the files of the root that are in it.
struct SbomImage {
  std::string name;  // "kernel", "initrd" or "rescue"
  std::string path;  // in the root; "" when it is not there
  std::string version;
  Digest digest;
  std::vector<size_t> packages, programs;
  // Bytes of it that are no file of the root, such as programs that only an initrd has.
  uint64_t other_bytes = 0;
  std::vector<std::string> other_programs;  // of those bytes, as far as they are known
};

struct Sbom {
  Identity identity;
  uint64_t timestamp = 0;
  std::vector<SbomPackage> packages;
  std::vector<SbomSource> sources;
  std::vector<SbomProgram> programs;
  std::vector<SbomImage> images;
};

// A boot image that is to be described, beside the kernel, which is found in the root.
struct BootImage {
  std::string name, path;
  Digest digest;
  std::vector<std::string> files;  // of the root, which it has
  uint64_t other_bytes = 0;
  std::vector<std::string> other_programs;
};

struct SbomInput {
  std::string tree;
  std::string kernel;  // its path in the root
  std::string kernel_version;
  std::vector<BootImage> images;
  uint64_t timestamp = 0;  // of the release, seconds since the epoch
};

Result<Sbom> DescribeRoot(const SbomInput& input);

std::string CycloneDx(const Sbom& sbom);
std::string Spdx(const Sbom& sbom);

// The package URL of a package or source, without what scanners want to know beside it:
// "pkg:deb/debian/NAME@VERSION?arch=ARCH&distro=debian-13".
std::string PackageUrl(const Identity& identity, const DebianSource& package,
                       std::string_view architecture);
// With the source whose advisories are about it.
std::string PackageUrl(const Identity& identity, const DebianPackage& package);

// A UUID that says the same for the same text (RFC 9562, version 8).
std::string UuidOf(std::string_view text);

}  // namespace hostos
