#include "updater/hostctl/command.h"

namespace hostos {
namespace {

constexpr OptionSpec kGlobal[] = {
    {"--config", "FILE", "read FILE after the usual configuration files, over them", nullptr,
     &Invocation::config},
    {"--quiet", "", "print errors only", &Invocation::quiet},
    {"--no-color", "", "no colors (also: a NO_COLOR variable that is not empty)",
     &Invocation::no_color},
    {"--help", "", "say how it is used", &Invocation::help},
    {"--version", "", "print the version of hostctl", &Invocation::program_version},
};

constexpr OptionSpec kJson = {"--json", "", "print JSON, described in docs/cli.md",
                              &Invocation::json};

constexpr OptionSpec kStatusOptions[] = {
    {"--why", "",
     "every release given up here: when, after how many boots, which check, its output",
     &Invocation::why},
    kJson,
};
constexpr ExitUse kStatusExits[] = {
    {ExitCode::kDone, "nothing waits for you"},
    {ExitCode::kStaged, "another release boots next: a reboot is needed (wins over 5)"},
    {ExitCode::kFellBack, "the last update fell back, and nothing newer was committed since"},
    {ExitCode::kNotTrusted, "the last verification of a slot did not find what was signed"},
    {ExitCode::kNotHealthy,
     "the running release went bad after it was kept, the boot loader failed its self-test, or the "
     "rescue on the ESP should be another one"},
    {ExitCode::kUnsupported, "the support of the running release has ended"},
    {ExitCode::kFailed, "part of the status could not be read; the rest was printed"},
    {ExitCode::kUsage, "a configuration file is wrong; the status was printed all the same"},
    {ExitCode::kNotSupported, "this is not a HostOS system"},
};

constexpr OptionSpec kFrom = {
    "--from", "PATH", "take releases from a repository's directory or a bundle, not the network",
    nullptr, &Invocation::from};

constexpr OptionSpec kUpdateOptions[] = {
    {"--check", "", "only look for a release to install", &Invocation::check},
    {"--plan", "", "say what the update would move, write and change; change nothing",
     &Invocation::plan},
    {"--version", "VERSION", "that release, not the channel's newest", nullptr,
     &Invocation::version},
    kFrom,
    {"--retry", "", "also a release that fell back or was rolled back here before",
     &Invocation::retry},
    {"--ignore-health", "",
     "also while a required check fails already; units that fail now may fail in the trial, too",
     &Invocation::ignore_health},
    {"--allow-metered", "",
     "also over a metered network, whatever `metered` in the configuration says",
     &Invocation::allow_metered},
    {"--reboot", "", "reboot into it when it is staged", &Invocation::reboot},
    {"--json", "", "with --check or --plan: print JSON, described in docs/cli.md",
     &Invocation::json},
};
constexpr ExitUse kUpdateExits[] = {
    {ExitCode::kDone,
     "--reboot: staged, and the reboot has begun; --check, --plan: an update is there"},
    {ExitCode::kNothingToDo, "that release is running already"},
    {ExitCode::kStaged, "staged (now or earlier): reboot to run it"},
    {ExitCode::kBusy, "another operation is in progress, or the running release is on trial"},
    {ExitCode::kNotTrusted,
     "a signature, a digest or the root hash does not hold; or the release, or the metadata that "
     "leads to it, has expired or is older than what this machine saw or ran before"},
    {ExitCode::kNetwork, "the server was not reached, or answered badly"},
    {ExitCode::kNoSpace, "it does not fit in the slot, on the ESP or on the state partition"},
    {ExitCode::kNotHealthy,
     "a required check fails already, and --ignore-health is not given: nothing was changed"},
    {ExitCode::kNotSupported,
     "its version is not newer than the running one, or it is for another machine or format"},
    {ExitCode::kRefused, "it was given up here before, and --retry is not given"},
    {ExitCode::kNotNow,
     "the network is metered, the configuration says `refuse` to that, and --allow-metered is not "
     "given: nothing was changed, and of the release nothing was fetched"},
};

constexpr OptionSpec kRollbackOptions[] = {
    {"--reboot", "", "reboot into it", &Invocation::reboot},
};
constexpr ExitUse kRollbackExits[] = {
    {ExitCode::kDone, "--reboot: the reboot has begun; or a staged update was cancelled"},
    {ExitCode::kStaged, "the other release boots next: reboot to run it"},
    {ExitCode::kFailed, "there is no good release to go back to"},
    {ExitCode::kBusy, "another operation is in progress"},
};

constexpr OptionSpec kHealthOptions[] = {kJson};
constexpr ExitUse kHealthExits[] = {
    {ExitCode::kDone, "every required check holds"},
    {ExitCode::kNotHealthy, "a required check does not hold"},
};

constexpr OptionSpec kHistoryOptions[] = {kJson};
constexpr ExitUse kHistoryExits[] = {
    {ExitCode::kDone, "printed"},
    {ExitCode::kFailed, "the record could not be read"},
};

constexpr OptionSpec kVerifyOptions[] = {
    {"--slot", "SLOT", "A, B or both (the default)", nullptr, &Invocation::slot, "A B both"},
    kJson,
};
constexpr ExitUse kVerifyExits[] = {
    {ExitCode::kDone,
     "every byte of the slots and the rescue is as signed; what else can boot, or changes what "
     "boots, is listed"},
    {ExitCode::kFailed, "the slot asked for is empty, or could not be read"},
    {ExitCode::kNotTrusted,
     "a slot differs from its signed commit, or has none here; or the "
     "rescue on the ESP differs from the one that was signed; or this boot got other kernel "
     "parameters than its boot image brings"},
};

constexpr OptionSpec kSelfTestOptions[] = {
    {"--reboot", "", "begin it with a reboot now", &Invocation::reboot},
    {"--cancel", "", "end one that is in progress, as if it had never begun", &Invocation::cancel},
};
constexpr ExitUse kSelfTestExits[] = {
    {ExitCode::kDone, "--reboot: the reboot has begun; --cancel: none is in progress"},
    {ExitCode::kStaged, "the next boot is the first of it: reboot"},
    {ExitCode::kBusy, "an update is in progress, staged or on trial"},
    {ExitCode::kNotSupported,
     "the loader's own order does not decide what boots: it says what does"},
};

constexpr OptionSpec kSbomOptions[] = {
    {"--format", "FORMAT", "cyclonedx (the default) or spdx", nullptr, &Invocation::format,
     "cyclonedx spdx"},
};
constexpr ExitUse kSbomExits[] = {
    {ExitCode::kDone, "printed"},
    {ExitCode::kFailed, "the running release has none"},
};

constexpr ExitUse kHelpExits[] = {
    {ExitCode::kDone, "printed"},
};

constexpr ExitUse kGateExits[] = {
    {ExitCode::kDone, "no trial in this boot, or passed: committed"},
    {ExitCode::kNotHealthy,
     "failed: marked bad, the reboot into the other slot has begun; or there is none, and it "
     "stays"},
};

constexpr ExitUse kProbationExits[] = {
    {ExitCode::kDone, "nothing is on probation, or it was healthy to the end of it"},
    {ExitCode::kNotHealthy, "it went bad: recorded; with probation.fall_back the machine reboots"},
};

constexpr ExitUse kRecountExits[] = {
    {ExitCode::kDone, "the next boot is counted"},
    {ExitCode::kNothingToDo,
     "it is not: it is a trial anyway, or there is nothing to fall back to"},
};

constexpr ExitUse kOwnExits[] = {
    {ExitCode::kDone, "it has, now or since earlier; or the firmware names its ESP, and it stays"},
};

constexpr OptionSpec kRescueOptions[] = {kFrom};
constexpr ExitUse kRescueExits[] = {
    {ExitCode::kDone, "the slot has tries again, and the reboot has begun"},
    {ExitCode::kNotTrusted, "what the source of releases has is not what is signed"},
    {ExitCode::kNetwork, "the source of releases was not reached: its unit starts it again"},
    {ExitCode::kNotSupported, "this is not the rescue system"},
};

constexpr Command kCommands[] = {
    {Verb::kStatus, "status", "what runs, what boots next, and what went wrong",
     "Shows both slots, the update in progress and the releases that were given up on this "
     "machine, "
     "with the reason. Changes nothing.",
     kStatusOptions, kStatusExits},
    {Verb::kUpdate, "update", "install a release in the other slot, to boot next",
     "Finds the release, checks its signatures, that there is room for it and that this machine is "
     "healthy, fetches what this machine lacks, writes it to the slot that does not run, proves it "
     "by reading it back, and "
     "makes it boot next. The running system is not touched. An interrupted update resumes when it "
     "is run again. After the reboot the release is on trial: when its health gate does not pass, "
     "the machine falls back to the release before it by itself.",
     kUpdateOptions, kUpdateExits},
    {Verb::kRollback, "rollback", "make the other slot's good release boot next",
     "Makes the release in the other slot boot next, when it was good before, and gives the "
     "running "
     "one up: it is not installed again unless --retry asks for it. A staged update is cancelled "
     "instead, and the running release stays.",
     kRollbackOptions, kRollbackExits},
    {Verb::kHealth, "health", "run the health checks once, now",
     "Runs one round of the checks that the health gate of a new release runs, and prints each.",
     kHealthOptions, kHealthExits},
    {Verb::kHistory, "history", "what was committed, fell back or was rolled back",
     "Lists the updates of this machine and how each of them ended, newest first.", kHistoryOptions,
     kHistoryExits},
    {Verb::kVerify, "verify", "compare the slots and what boots with what was signed",
     "Reads a slot from the medium, recomputes its root hash and compares it with the one in its "
     "signed commit, which was kept when it was installed. Without --slot it does the same with "
     "the rescue on the ESP, compares all else that is there, and this boot's kernel parameters, "
     "with what was signed, and lists what no release signed: a boot loader, an entry, an addon, a "
     "credential. Needs no network. Changes nothing.",
     kVerifyOptions, kVerifyExits},
    {Verb::kSelfTest, "boot selftest", "prove that the boot loader counts tries and falls back",
     "Writes a second boot entry for the release that runs, with two tries. In three reboots the "
     "loader has to spend one, then the other, and then to take the usual entry again; the first "
     "reboot is yours, unless --reboot is given, the others follow by themselves. The slots and "
     "their entries are not touched. The first boot that is not as expected ends the test. "
     "`hostctl status` says how it ended.",
     kSelfTestOptions, kSelfTestExits},
    {Verb::kSbom, "sbom", "what the running release consists of, for scanners",
     "Prints the software bill of materials that the running release brings: its Debian packages "
     "with their sources and licences, HostOS's own programs, and what it boots. CycloneDX 1.6 or "
     "SPDX 2.3, in JSON. Needs no root.",
     kSbomOptions, kSbomExits},
    {Verb::kHelp,
     "help",
     "the manual, or what it says of a verb",
     "Prints what a verb does, its options and its exit codes; without a verb all of the manual "
     "that is not about one. Needs no root, and no HostOS.",
     {},
     kHelpExits,
     false,
     "VERB"},
    {Verb::kGate,
     "gate",
     "decide the trial of the running release",
     "Run once in every boot by hostos-health-gate.service. When the running release is on trial: "
     "waits until all required checks hold for the whole window, and commits to the release; else "
     "marks it bad and reboots into the other slot. A self-test of the boot loader goes on here. "
     "Last, it has the rescue of a release that is kept on the ESP.",
     {},
     kGateExits,
     true},
    {Verb::kProbation,
     "probation",
     "watch the release that was committed last",
     "Run by hostos-probation.service. Watches the health of the running release until its "
     "probation is over. One that goes bad, by the rules of the gate, is recorded, and, when "
     "the configuration says so, given up for the release in the other slot.",
     {},
     kProbationExits,
     true},
    {Verb::kRecount,
     "recount",
     "count the next boot of the running release",
     "Run by hostos-recount.service when the machine goes down. The boot that follows is a trial "
     "again, so that a release that no longer starts falls back, however old it is.",
     {},
     kRecountExits,
     true},
    {Verb::kOwn,
     "boot own",
     "give the disk UUIDs of its own",
     "Run by hostos-own-disk.service in the first boot. A disk that was written from an image has "
     "the UUIDs of every other one; the disk, its ESP and its state partition get random ones, so "
     "that no other disk passes for this one. Nothing is done where a boot entry of the firmware "
     "names the ESP by its UUID.",
     {},
     kOwnExits,
     true},
    {Verb::kRescue, "rescue", "make a slot boot again, when neither does",
     "Run by hostos-rescue.service in the rescue system, which boots when neither slot has tries "
     "left. Prints the history, and compares the slot of the release that was good last with its "
     "signed commit. When nothing is wrong with it, it gets its tries back after five minutes. "
     "Else "
     "the same release is installed in it again. Then the machine reboots.",
     kRescueOptions, kRescueExits, true},
};

}  // namespace

std::span<const Command> Commands() {
  return kCommands;
}
std::span<const OptionSpec> GlobalOptions() {
  return kGlobal;
}

}  // namespace hostos
