// The files of an initrd that is not compressed: archives in the format "newc" of cpio, one after
// the other (kernel documentation, "initramfs buffer format").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hostos {

struct CpioFile {
  std::string name;  // without a slash before it
  uint64_t offset = 0, size = 0;
};

// Where the last archive begins: what was appended last, and what the kernel unpacks over all before
// it. 0 when there is none.
uint64_t LastArchive(std::string_view archives);

// The regular files with content, in order, up to what is no archive; none when it begins so.
std::vector<CpioFile> CpioFiles(std::string_view archive);

}  // namespace hostos
