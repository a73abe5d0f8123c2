#include "updater/engine/boot_proof.h"

#include <algorithm>
#include <optional>
#include <ranges>

#include "bootctl/entry_name.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/engine/releases.h"

namespace hostos {
namespace {

constexpr std::string_view kSafeSettings[] = {"timeout 0", "editor no"};  // as on a new disk
constexpr uint64_t kMostLoader = 16 << 20;

// The name of the loader that this file has to be; "" for any other file.
std::string LoaderProgram(const std::string& path) {
  for (const std::string_view efi : {"x64.efi", "aa64.efi"})
    if (path == std::format("efi/boot/boot{}", efi) ||
        path == std::format("efi/systemd/systemd-boot{}", efi))
      return std::format("systemd-boot{}", efi);
  return "";
}

// Written by the loader or by HostOS, and loaded by nothing.
bool IsHarmless(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  const bool ours = IsReleaseFile(name) || IsRescueFile(name);
  return path == "loader/random-seed" || path == "loader/entries.srel" ||
         path == "loader/loader.conf" ||  // judged by its settings
         (path.starts_with("efi/linux/") && ours && !name.ends_with(".efi")) ||
         (path.starts_with("fsck") && path.ends_with(".rec") && !path.contains('/'));
}

// systemd-stub(7), systemd-boot(7), loader.conf(5).
const char* WhatItCan(const std::string& path) {
  if (path.starts_with("efi/linux/") && path.contains(".efi.extra.d/"))
    return "goes into that boot image: kernel parameters, microcode, credentials, or files for its "
           "initrd";
  if (path.starts_with("loader/addons/"))
    return "goes into every boot image: kernel parameters, microcode or a device tree";
  if (path.starts_with("loader/credentials/"))
    return "a credential for systemd: a password, a key, a unit, a network";
  if (path.starts_with("loader/extensions/")) return "files for the initrd of every boot image";
  if (path.starts_with("loader/entries/"))
    return "a boot entry: boots what it names, with kernel parameters of its own";
  if (path.starts_with("loader/keys/"))
    return "keys that the boot loader can make those of the firmware's Secure Boot";
  if (path.starts_with("efi/systemd/drivers/")) return "a driver that the boot loader runs";
  if (path.starts_with("efi/linux/") && path.ends_with(".efi"))
    return "a boot image: a kernel, an initrd and kernel parameters";
  if (path.ends_with(".efi") || path.ends_with(".nsh"))
    return "a program that the firmware or the boot loader can start";
  return "not read by the boot loader or by a boot image, as far as is known";
}

std::vector<std::string> WordsOf(std::string_view line) {
  std::vector<std::string> words;
  for (const auto part : std::views::split(line, ' ')) {
    std::string word(std::string_view{part});
    std::erase_if(word, [](char c) { return c > '\0' && c < ' '; });  // the stub's, and the end
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

class Comparison {
 public:
  Comparison(World& world, bool running_proven) : world_(world), running_proven_(running_proven) {}

  Result<BootProof> Run() {
    const BootState boot = TRY(world_.boot.Read());
    const BootSurface surface = TRY(world_.boot.ReadSurface());
    left_ = boot.esp.size;
    for (Release& release : ReadKept(world_).releases) {
      signed_.emplace_back(release.uki_size, release.uki_digest);
      if (release.rescue) signed_.emplace_back(release.rescue->size, release.rescue->digest);
    }
    for (const EspFile& file : surface.files) TRY(Look(file));
    LookAtSettings(surface.settings);
    for (const LoaderPreference& preference : boot.preferences)
      if (preference.source.starts_with("EFI variable"))
        Tell(preference.source,
             std::format("the boot loader takes the first entry like \"{}\"", preference.pattern));
    if (surface.systemd_options)
      Tell("EFI variable SystemdOptions",
           std::format("more of the command line for systemd: \"{}\"", *surface.systemd_options));
    LookAtCommandLine(surface);
    return std::move(proof_);
  }

 private:
  void Tell(const std::string& what, std::string can) {
    proof_.unsigned_items.push_back({what, std::move(can)});
  }

  Result<> Look(const EspFile& file) {
    const std::string path = Lower(file.path);
    if (IsHarmless(path)) return {};
    if (const std::string program = LoaderProgram(path); !program.empty())
      return LookAtLoader(file, program);
    const bool image =
        path.starts_with("efi/linux/") && path.ends_with(".efi") && !path.contains(".efi.extra.d/");
    if (!image || !TRY(IsOneOf(file, signed_))) Tell(file.path, WhatItCan(path));
    return {};
  }

  // Reads a file only if its size is one that was signed, and no more bytes in total than the ESP
  // has: on a damaged ESP many names can share them.
  Result<bool> IsOneOf(const EspFile& file, std::span<const std::pair<uint64_t, Digest>> expected) {
    if (!std::ranges::contains(expected, file.size, &std::pair<uint64_t, Digest>::first))
      return false;
    if (file.size > left_) {
      Tell(file.path,
           "not compared: the files on the ESP are larger than the ESP, which is damaged");
      return false;
    }
    left_ -= file.size;
    return std::ranges::contains(expected,
                                 std::pair(file.size, TRY(world_.boot.HashEspFile(file.path))));
  }

  Result<> LookAtLoader(const EspFile& file, const std::string& program) {
    const std::string path = world_.boot_loaders + "/" + program;
    const auto ours = ReadFile(path, kMostLoader);
    const std::pair<uint64_t, Digest> expected[] = {
        {ours ? ours->size() : 0, Sha256::Of(AsBytes(ours.value_or("")))}};
    if (ours && TRY(IsOneOf(file, expected))) {
      if (running_proven_) return {};
      Tell(file.path, std::format("the boot loader, like {}, which is not proven", path));
    } else if (ours) {
      Tell(file.path, std::format("the boot loader: runs before everything else, and is not {}; a "
                                  "disk keeps the one that it was made with",
                                  path));
    } else {
      Tell(file.path,
           "the boot loader: runs before everything else; the running release brings none "
           "to compare it with");
    }
    return {};
  }

  void LookAtSettings(const std::vector<std::string>& settings) {
    std::string found;
    for (const std::string& setting : settings)
      if (!std::ranges::contains(kSafeSettings, setting))
        found += (found.empty() ? "sets: " : ", ") + setting;
    if (!std::ranges::contains(settings, kSafeSettings[1]))
      found += std::string(found.empty() ? "" : "; ") +
               "lacks: editor no, without which whoever is at the console sets kernel parameters";
    if (!found.empty()) Tell("loader/loader.conf", found);
  }

  void LookAtCommandLine(const BootSurface& surface) {
    static const std::string kWhat = "the kernel's command line";
    const std::vector<std::string> found = WordsOf(surface.command_line);
    if (!surface.image_command_line) {
      Tell(kWhat,
           std::format("no boot image of the running release to compare it with; it is: \"{}\"",
                       Joined(found, " ")));
      return;
    }
    const std::vector<std::string> expected = WordsOf(*surface.image_command_line);
    const auto [end, more] = std::ranges::mismatch(expected, found);
    if (end != expected.end())
      proof_.problem = std::format("{}: expected that of the boot image, \"{}\", found \"{}\"",
                                   kWhat, Joined(expected, " "), Joined(found, " "));
    else if (more != found.end())
      Tell(kWhat, std::format("more than the boot image's own: \"{}\"",
                              Joined(std::span(more, found.end()), " ")));
  }

  World& world_;
  const bool running_proven_;
  std::vector<std::pair<uint64_t, Digest>> signed_;
  uint64_t left_ = 0;
  BootProof proof_;
};

}  // namespace

Result<BootProof> VerifyBoot(World& world, bool running_proven) {
  return Comparison(world, running_proven).Run();
}

}  // namespace hostos
