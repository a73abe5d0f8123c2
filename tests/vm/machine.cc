#include "tests/vm/machine.h"

#include <openssl/evp.h>

#include <format>
#include <fstream>

namespace hostos {
namespace {

// /dev/kvm can be opened even where the processor does not virtualize; a guest then hangs in early
// boot. The processor's flags tell.
bool HasKvm() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("flags")) continue;
    return line.find(" vmx") != std::string::npos || line.find(" svm") != std::string::npos;
  }
  return false;
}

std::string Base64(const std::string& bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                 reinterpret_cast<const unsigned char*>(bytes.data()),
                                 static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

// With this a boot takes a sixth less of the host's time than with "max": emulating the rest costs
// TCG more than it saves the guest.
constexpr const char* kTcgCpu =
    "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+sha-ni,+pclmulqdq,+cx16,+lahf-lm,+rdrand";

// systemd.system-credentials(7). Base64 protects QEMU's commas and every other byte.
std::string SmbiosCredential(const std::string& name, const std::string& value) {
  return std::format("type=11,value=io.systemd.credential.binary:{}={}", name, Base64(value));
}

}  // namespace

std::vector<std::string> Machine::CommandLine() const {
  std::vector<std::string> argv = {kQemu, "-nodefaults", "-no-user-config", "-display", "none"};
  auto add = [&](std::initializer_list<std::string> arguments) {
    argv.insert(argv.end(), arguments);
  };
  auto socket = [&](const char* id, int fd) {
    add({"-chardev", std::format("socket,id={},fd={}", id, fd)});
  };

  // With two processors under TCG, the second one's timer sometimes stops early in a boot, which
  // then never ends. The kernel says "rcu: Possible timer handling issue on cpu=1" (QEMU 10, Linux
  // 6.12).
  add({"-machine", "q35", "-accel", HasKvm() ? "kvm" : "tcg"});
  add({"-cpu", HasKvm() ? "max" : kTcgCpu, "-smp", HasKvm() ? "2" : "1", "-m", "1024"});
  add({"-drive", std::format("if=pflash,unit=0,format=raw,readonly=on,file={}", kFirmware)});
  add({"-drive", std::format("if=pflash,unit=1,format=raw,file={}", variables)});
  add({"-blockdev", std::format("driver=qcow2,node-name=image,discard=unmap,file.driver=file,"
                                "file.filename={}",
                                disk)});
  std::string drive = "image";
  if (!rig.write_log.empty()) {
    drive = "logged";
    add({"-blockdev", std::format("driver=blklogwrites,node-name=logged,discard=unmap,file=image,"
                                  "log.driver=file,log.filename={},log-super-update-interval=1",
                                  rig.write_log)});
  }
  if (rig.bad_sector != 0) {
    drive = "failing";
    add({"-blockdev",
         std::format(R"({{"driver": "blkdebug", "node-name": "failing", "image": "image",
                          "discard": "unmap", "inject-error": [{{"event": "none",
                          "iotype": "read", "errno": 5, "sector": {}, "once": false}}]}})",
                     rig.bad_sector)});
  }
  const auto on = [](std::string_view bus) {
    return bus == "ahci" ? "ide-hd,bus=ide.0" : "virtio-blk-pci";
  };
  add({"-device",
       std::format("{},drive={},bootindex=1,logical_block_size={},physical_block_size={}",
                   on(rig.twin == "virtio" ? "ahci" : "virtio"), drive, rig.sector_size,
                   rig.sector_size)});
  if (!rig.twin.empty()) {
    add({"-blockdev", "driver=qcow2,node-name=twin,file.driver=file,file.filename=" + twin});
    add({"-device", std::format("{},drive=twin", on(rig.twin))});
  }
  // Always there, because a snapshot fits only a machine with the same devices.
  add({"-blockdev", rig.attached.empty()
                        ? "driver=null-co,node-name=attached,read-zeroes=on,read-only=on"
                        : "driver=raw,node-name=attached,read-only=on,file.driver=file,"
                          "file.filename=" +
                              rig.attached});
  add({"-device", "virtio-blk-pci,drive=attached"});

  add({"-device", "i6300esb", "-action", "watchdog=reset"});

  add({"-chardev", std::format("file,id=serial,path={},input-path={}", serial, console), "-serial",
       "chardev:serial"});
  socket("qmp", qmp);
  add({"-mon", "chardev=qmp,mode=control"});
  add({"-device", "virtio-serial-pci"});
  socket("agent", agent);
  add({"-device", "virtserialport,chardev=agent,id=agent,name=org.qemu.guest_agent.0"});
  socket("output", output);
  add({"-device", "virtserialport,chardev=output,id=output,name=hostos.output"});

  // One address and one port, and nothing else: neither the host nor the world.
  if (server_port != 0) {
    add({"-netdev", std::format("user,id=net,restrict=on,"
                                "guestfwd=tcp:10.0.2.100:8080-cmd:socat - TCP:127.0.0.1:{}",
                                server_port)});
    add({"-device", "virtio-net-pci,netdev=net"});
  }
  for (const auto& [name, value] : rig.credentials) add({"-smbios", SmbiosCredential(name, value)});
  if (restore) add({"-incoming", "defer"});
  return argv;
}

}  // namespace hostos
