// Which release would boot from a disk, by the model of the loader, and whether it is whole: its
// partitions where the firmware and systemd look for them, its image as signed, its slot written;
// and behind it a rescue that one of the releases brings.
#pragma once

#include <string>
#include <vector>

#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

struct Outcome {
  std::string version;  // of what boots first; "" when nothing does
  std::string file;     // its entry
  std::string broken;   // why it is not whole, "" when it is
};

// From an image of the ESP, and one that begins with the partition table. `releases` are those that
// the disk may hold; `whole[1]` tells whether slot B holds all of what was written to it, and
// `whole[0]` the same of slot A.
Result<Outcome> WouldBoot(const std::string& esp, const std::string& table,
                          const std::vector<Release>& releases, const bool (&whole)[2]);

// What mtools shows of the files in EFI/Linux: names, sizes, clusters.
std::string FilesOf(const std::string& esp);

}  // namespace hostos
