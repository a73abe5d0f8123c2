#include "images/uki.h"

#include "bootctl/entry_name.h"
#include "bootctl/uki.h"
#include "images/program.h"

namespace hostos {
namespace {

// A boot that fails must end in a reboot, because only a reboot spends the loader's next try: hence
// panic=, no shells, and a bounded wait for devices. "gpt" lets the kernel use the backup partition
// table if a power cut tore the primary one. fsck.repair= repairs where fsck would otherwise ask,
// because nobody is there to answer.
constexpr std::string_view kEveryBoot =
    "gpt panic=5 rd.shell=0 rd.emergency=reboot systemd.default_device_timeout_sec=60 "
    "fsck.repair=yes console=tty0 console=ttyS0";

}  // namespace

Result<std::string> KernelCommandLine(const Digest& root_hash, std::string_view append) {
  // A block that does not verify panics the kernel: a half-readable root is useless, and the
  // program that hits the block may be any but the one that would notice.
  std::string line = std::format(
      "root=/dev/mapper/root roothash={} rootfstype=erofs ro "
      "systemd.verity_root_options=panic-on-corruption {}",
      root_hash.Hex(), kEveryBoot);
  if (append.empty()) return line;
  for (std::string_view name : {"root=", "roothash="})
    if (append.starts_with(name) || append.contains(std::format(" {}", name)))
      return Fail(Code::kUsage, "the kernel's {} comes from the seal, found \"{}\"", name, append);
  for (unsigned char c : append)
    if (c < ' ' || c > '~')
      return Fail(Code::kUsage, "expected printable ASCII for the kernel, found \"{}\"", append);
  return std::format("{} {}", line, append);
}

std::string RescueCommandLine() {
  return std::format("{} {}", kRescueWord, kEveryBoot);
}

Result<std::string> EfiArchitecture(std::string_view architecture) {
  if (architecture == "x86-64") return "x64";
  if (architecture == "arm64") return "aa64";
  return Fail(Code::kNotSupported, "expected architecture x86-64 or arm64, found \"{}\"",
              architecture);
}

Result<> BuildUki(const UkiInputs& inputs, const std::string& output) {
  const std::string efi = TRY(EfiArchitecture(inputs.architecture));
  const std::string stub =
      inputs.stub.empty() ? std::format("{}linux{}.efi.stub", kEfiPrograms, efi) : inputs.stub;
  TRY(RunProgram({"ukify", "build", "--linux=" + inputs.kernel, "--initrd=" + inputs.initrd,
                  "--uname=" + inputs.kernel_version, "--os-release=@" + inputs.os_release,
                  "--cmdline=" + inputs.command_line, "--stub=" + stub, "--efi-arch=" + efi,
                  "--output=" + output}));
  return {};
}

Result<> CheckUki(int fd, const Release& release) {
  const std::optional<Uki> read = TRY(ReadUki(fd));
  if (!read || !read->complete)
    return Fail(Code::kNotTrusted, "hostos.efi is no whole unified kernel image");
  const Uki& uki = *read;
  const uint16_t machine = release.architecture == "arm64" ? kMachineArm64 : kMachineX64;
  if (uki.machine != machine)
    return Fail(Code::kNotTrusted, "hostos.efi is for PE machine {:#x}, {} is {:#x}", uki.machine,
                release.architecture, machine);
  if (uki.version != release.version)
    return Fail(Code::kNotTrusted, "hostos.efi calls itself version \"{}\", the release is {}",
                uki.version, release.version);
  if (uki.root_hash != release.root_hash)
    return Fail(Code::kNotTrusted, "hostos.efi boots root hash {}, the release's is {}",
                uki.root_hash ? uki.root_hash->Hex() : "(none)", release.root_hash.Hex());
  return {};
}

}  // namespace hostos
