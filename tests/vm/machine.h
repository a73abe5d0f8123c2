// The QEMU command line of a HostOS test machine: its devices, and what they are connected to.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hostos {

// What a test may add to a machine.
struct Rig {
  // Gets every write to the disk (tests/powercut/write_log.h); <write_log>.base gets the disk's
  // earlier content, raw. "": neither.
  std::string write_log;
  std::string disk;  // unchanged; boots instead of the releases' disk; "": that
  std::string disk_format = "qcow2";
  uint64_t bad_sector = 0;  // of 512 bytes, on the disk: reading it fails; 0: none
  std::string attached;     // raw, a second disk, read-only; "": an empty one
  // The bus, "ahci" or "virtio", of a second disk that was written from the same image; the first
  // disk is then on the other bus. "": no second disk, and the first is on virtio.
  std::string twin;
  unsigned sector_size = 512;                      // of the disk
  std::map<std::string, std::string> credentials;  // systemd system credentials, over SMBIOS
};

struct Machine {
  std::string disk;       // qcow2, private
  std::string twin;       // likewise, if the rig has one
  std::string variables;  // of the firmware, private
  std::string serial;     // log of the serial console
  std::string console;    // pipe with what is typed at the console
  int qmp = 0;            // descriptors QEMU inherits
  int agent = 0;
  int output = 0;
  uint16_t server_port = 0;  // 0: no network
  Rig rig;                   // its write log exists already
  bool restore = false;      // wait for a saved state instead of booting

  static constexpr const char* kFirmware = "/usr/share/OVMF/OVMF_CODE_4M.fd";
  static constexpr const char* kVariables = "/usr/share/OVMF/OVMF_VARS_4M.fd";
  static constexpr const char* kQemu = "qemu-system-x86_64";

  std::vector<std::string> CommandLine() const;
};

}  // namespace hostos
