// Describes a source: whose releases, where they come from, whom to trust, and what of them is
// already on this machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "updater/base/digest.h"
#include "updater/release/signature.h"
#include "updater/source/http.h"

namespace hostos {

struct SourceOptions {
  std::string url;  // of the archive repository, http:// or https://; or the path of its
                    // directory, or of a bundle
  std::string product = "hostos";
  std::string channel;       // "stable"
  std::string architecture;  // this machine's, as in Release::architecture
  std::string root = "/usr/lib/hostos/tuf/root.json";  // the TUF root that the release brings
  std::string metadata = "/var/lib/hostos/tuf";        // the TUF metadata that is trusted
  std::string staging;                                 // the repository that is pulled into
  std::string parent = "/ostree/repo";                 // empty: none
  // Bare repositories on this machine that may be damaged. Objects that are whole there are not
  // fetched.
  std::vector<std::string> damaged;
  // Root hashes of the releases whose objects are in the parent.
  std::vector<Digest> holds;
  std::string token_file;  // where a RemoteSource reads http.token from; empty: nowhere
  std::vector<std::string> key_directories = {"/usr/lib/hostos/keys.d", "/etc/hostctl/keys.d"};
  SignatureRule signatures;
  std::vector<uint32_t> seal_formats;  // what this node can seal
  HttpOptions http;
};

}  // namespace hostos
