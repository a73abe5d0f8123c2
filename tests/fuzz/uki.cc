#include "bootctl/uki.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(uki, input) {
  const MemoryFile file(input);
  (void)ReadUki(file.fd());  // good or an error
  (void)RootHashOf(input);
}
