#include "images/manual.h"

#include "images/verbs.h"

namespace hostos {
namespace {

constexpr std::string_view kDescription[] = {
    "hostimage turns a root file system, as rootfs/build makes it, into a release: one signed "
    "OSTree "
    "commit in a repository that any web server can serve. It makes disks of a release, decides "
    "what nodes find by signing TUF metadata, and copies releases for sites of their own.",
    "Results are written to standard output, with --json for programs; phases and errors to "
    "standard error. `hostimage VERB --help` lists the options of a verb. docs/image-toml.md has "
    "the keys of image.toml; docs/publishing.md, docs/trust.md and docs/images.md have the whole "
    "way.",
    "A secret KEY is a FILE (PKCS#8 PEM, encrypted or not, or what ostree sign takes), env:NAME "
    "for "
    "an environment variable with such a file's content, or the pkcs11: URI of a key on a token.",
};

constexpr ManualTerm kEnvironment[] = {
    {"HOSTIMAGE_PASSPHRASE", "Passphrase of the keys, when --passphrase-file is not given."},
    {"SOURCE_DATE_EPOCH", "Time of a release, when --timestamp is not given."},
    {"PKCS11_PROVIDER_MODULE", "The module of a token, for keys that begin with pkcs11:."},
};

constexpr ManualTerm kFiles[] = {
    {"../share/hostimage/repart.d",
     "Beside the folder of the program: the partitions of a disk, for systemd-repart."},
    {"../share/hostimage/rootfs, image.toml",
     "There, too: the scripts that make roots, and what `new` copies."},
};

// The same as in docs/publishing.md.
constexpr ManualExit kExits[] = {
    {0, "done, and nodes see it"},
    {1, "failed: standard error says why"},
    {2, "usage: the command line, or a file that it names, is wrong"},
    {3, "nothing to do"},
    {4, "staged: signatures are missing"},
    {6, "busy: another build works in the same place"},
    {7, "not trusted, or nodes refuse what is published"},
    {8, "network: the server that is copied from was not reached, or answered badly"},
    {9, "no space, on this machine or in the partitions asked for"},
    {10, "something is to be renewed"},
    {11, "an architecture or a format that this version does not know"},
    {12,
     "refused: a version that is there already, or is no newer than its channel's, or "
     "something else staged than was looked at"},
};

constexpr ManualExample kExamples[] = {
    {"An image of one's own, and the next release of it:",
     "hostimage new site\n"
     "hostimage build site/image.toml\n"
     "hostimage build site/image.toml --set release.version=1.0.1"},
    {"A key, a first release, and a disk of it:",
     "hostimage keygen --encrypt --secret release.pem --public keys/release.pub\n"
     "hostimage commit --tree OUT/tree --initrd OUT/initrd --repo REPO --version 1.0.0 "
     "--channel stable --key release.pem\n"
     "hostimage disk hostos/x86-64/releases/1.0.0 --repo REPO --keys keys --output hostos.raw"},
    {"From a timer, every day:",
     "hostimage renew timestamp --repo REPO --key online.pem && hostimage check --repo REPO"},
};

}  // namespace

Manual HostimageManual() {
  Manual manual{.program = kHostimage,
                .section = 1,
                .date = "November 30, 2026",
                .summary = kHostimageSummary,
                .description = kDescription,
                .environment = kEnvironment,
                .files = kFiles,
                .exits = {std::begin(kExits), std::end(kExits)},
                .examples = kExamples,
                .see_also = {"ostree 1", "ukify 1", "systemd-repart 8"}};
  for (const Subcommand& verb : Subcommands()) {
    ManualCommand& command = manual.commands.emplace_back();
    command = {.name = verb.name,
               .operand = verb.operand,
               .description = verb.summary,
               .operands = verb.operand == "ROLE" ? "root targets snapshot timestamp" : ""};
    for (const Option& option : verb.options)
      command.options.push_back(
          {.name = option.name,
           .argument = option.value,
           .help = option.help,
           .required = option.times == Times::kOnce || option.times == Times::kAtLeastOnce,
           .repeats = option.times == Times::kAnyNumber || option.times == Times::kAtLeastOnce});
  }
  return manual;
}

}  // namespace hostos
