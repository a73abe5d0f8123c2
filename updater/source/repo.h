// One OSTree repository: the archive that releases are published in, or a node's staging
// repository whose parent is the object store inside the running root. The only user of libostree.
//
// Promises: a commit, its signatures and its refs appear in one transaction; a pull fetches no
// object that the repository, its parent or an interrupted earlier pull (even of another boot)
// holds whole.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/progress.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/source/archive.h"
#include "updater/source/commit.h"
#include "updater/source/http.h"
#include "updater/source/sign.h"
#include "updater/source/source.h"

typedef struct OstreeRepo OstreeRepo;

namespace hostos {

struct Scan;

inline constexpr size_t kMaxContentBytes = 64 << 20;

// What CommitTree publishes.
struct CommitInput {
  std::string tree;  // the root file system, with an empty /boot
  std::string uki;   // becomes /boot/hostos.efi, owner 0:0, mode 0644
  Release release;   // everything but `commit`; the timestamp is the commit's
};

class Repo {
 public:
  // Everything that was written becomes visible with Commit(), or nothing.
  class Transaction {
   public:
    static Result<Transaction> Begin(const Repo& repo);
    Transaction(Transaction&& other) noexcept = default;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    Result<> WriteMetadata(ObjectType type, const Digest& checksum, std::string_view bytes);
    // `content` is read from where it stands; a link has none.
    Result<> WriteFile(const FileObject& file, int content);
    // What ReadContent() gave.
    Result<> WriteContent(const Digest& checksum, std::string_view bytes);
    void SetRef(const std::string& ref, const Digest& commit);
    void RemoveRef(const std::string& ref);
    Result<> Commit();

   private:
    explicit Transaction(std::shared_ptr<OstreeRepo> repo) : repo_(std::move(repo)) {}
    std::shared_ptr<OstreeRepo> repo_;  // none when committed
  };

  // An existing repository, of either mode.
  static Result<Repo> Open(const std::string& path);
  // The archive repository at `path`, made with its directories when it is not there.
  static Result<Repo> CreateArchive(const std::string& path);
  // The staging repository at `path`: of mode bare-user, so that any user can stage files of any
  // other. It and its configuration are made or repaired as needed; an empty `parent` or `proxy`
  // means none.
  static Result<Repo> OpenStaging(const std::string& path, const std::string& parent,
                                  const std::string& proxy);

  // Publishing ------------------------------------------------------------------------------------

  // Commits the tree (owners, modes and xattrs as they are on disk), signs the commit with every
  // key and sets ChannelRef and ReleaseRef to it, in one transaction. Same input, same checksum.
  // kRefused when the version is published already as another commit.
  Result<Digest> CommitTree(const CommitInput& input, std::span<const SecretKey> keys);
  // The same for a directory that was scanned before: what is committed is what the scan saw, else
  // it is an error. `input.tree` is not looked at.
  Result<Digest> CommitScan(const Scan& scan, const CommitInput& input,
                            std::span<const SecretKey> keys);
  // Commits content that is here already, as another release says it: signs it and sets the ref of
  // that release's channel. The version's own ref stays.
  Result<Digest> CommitAgain(const Commit& commit, std::span<const SecretKey> keys);
  // Replaces the commit's detached metadata: to add a signature later.
  Result<> WriteDetachedMetadata(const Digest& commit, std::string_view detached);

  // Reading ---------------------------------------------------------------------------------------

  // kNotFound when there is no such ref.
  Result<Digest> ResolveRef(const std::string& ref) const;
  // The bytes of a commit, dirtree or dirmeta object; kNotFound when it is not here. Their SHA-256
  // is checked against the checksum.
  Result<std::string> ReadMetadata(ObjectType type, const Digest& checksum) const;
  // Serialized detached metadata; empty when the commit has none.
  Result<std::string> ReadDetachedMetadata(const Digest& commit) const;
  // Owner, mode, xattrs, size or target of a content object.
  Result<FileObject> ReadFileHeader(const Digest& checksum) const;
  // A seekable descriptor at the start of a regular file's content. In a bare repository that is
  // the object itself; from an archive it is unpacked into an unnamed temporary file.
  Result<UniqueFd> OpenContent(const Digest& checksum) const;
  // A content object of at most kMaxContentBytes as what its checksum is made of: header, content.
  Result<std::string> ReadContent(const Digest& checksum) const;
  // The size of an object as the repository stores it.
  Result<uint64_t> StoredSize(ObjectType type, const Digest& checksum) const;
  // Here or in the parent.
  Result<bool> Has(ObjectType type, const Digest& checksum) const;

  // Staging ---------------------------------------------------------------------------------------

  // What a pull of this verified commit would move. Changes nothing. Objects of an interrupted pull
  // count as present.
  Result<FetchPlan> Plan(const Commit& commit) const;
  // Takes from a bare repository that may be damaged anywhere what the verified commit lacks, each
  // object only if it has its checksum. What it does not have, or does not give, is left to a pull:
  // an error says that nothing at all could be taken.
  Result<> Salvage(const std::string& from, const Commit& commit, Progress& progress);
  // Stores the verified commit, then pulls what its tree lacks from the archive repository at
  // `url`. Bytes over the wire and on the disk are bounded by what the commit's signed sizes say.
  // Into an archive, which keeps its other commits, files come as they are stored there: they are
  // for the caller to check.
  Result<FetchStats> Pull(const std::string& url, std::string_view commit_bytes,
                          std::string_view detached, const HttpOptions& http, Progress& progress);

  // The same from an archive repository on this machine; kNotFound names an object that is missing.
  Result<FetchStats> Copy(Archive& from, std::string_view commit_bytes, std::string_view detached,
                          Progress& progress);

  const std::string& path() const { return path_; }

 private:
  Repo(std::string path, std::shared_ptr<OstreeRepo> repo)
      : path_(std::move(path)), repo_(std::move(repo)) {}

  // Makes room for the release, and says what of it is missing.
  Result<FetchPlan> Prepare(const Commit& commit);
  Result<> StoreSigned(Transaction& transaction, const Digest& checksum, std::string_view bytes,
                       std::span<const SecretKey> keys);
  // The commit object as one that libostree still has to complete.
  Result<> StoreCommit(const Digest& checksum, std::string_view bytes, std::string_view detached);

  std::string path_;
  std::shared_ptr<OstreeRepo> repo_;
};

}  // namespace hostos
