// The QEMU command line of a HostOS test machine: which devices it has and where they lead.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hostos {

// What a test may add to a machine.
struct Rig {
  // Gets every write to the disk (tests/powercut/write_log.h); <write_log>.base gets the disk as it
  // was before, raw. "": neither.
  std::string write_log;
  std::string disk;         // qcow2, booted from in place of the releases'; not changed; "": theirs
  uint64_t bad_sector = 0;  // of 512 bytes, on the disk: reading it fails; 0: none
  std::string attached;     // raw, a second disk, read-only; "": one that holds nothing
  // A second disk that was written from the same image is on this bus, "ahci" or "virtio", and the
  // disk on the other one; "": there is none, and the disk is on virtio.
  std::string twin;
  unsigned sector_size = 512;                      // of the disk
  std::map<std::string, std::string> credentials;  // systemd system credentials, over SMBIOS
};

struct Machine {
  std::string disk;       // qcow2, private
  std::string twin;       // the same, if the rig has one
  std::string variables;  // of the firmware, private
  std::string serial;     // log of the serial console
  std::string console;    // pipe with what is typed there
  int qmp = 0;            // descriptors QEMU inherits
  int agent = 0;
  int output = 0;
  uint16_t server_port = 0;  // 0: no network
  Rig rig;                   // its write log exists
  bool restore = false;      // wait for a saved state instead of booting

  static constexpr const char* kFirmware = "/usr/share/OVMF/OVMF_CODE_4M.fd";
  static constexpr const char* kVariables = "/usr/share/OVMF/OVMF_VARS_4M.fd";
  static constexpr const char* kQemu = "qemu-system-x86_64";

  std::vector<std::string> CommandLine() const;
};

}  // namespace hostos
