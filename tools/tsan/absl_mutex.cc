// Distributions ship Abseil without ThreadSanitizer's annotations, so it sees
// absl::Mutex as no synchronisation at all and reports everything one guards.
// Linked into executables of a TSan build, these definitions stand before the
// shared library's and tell it what the real ones do.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);

namespace {

template <class Function>
Function Real(const char* symbol) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, symbol));
}

// The real calls evaluate conditions of waiting threads after the release
// that TSan was told of.
class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// A call that gives the mutex up and has it again when it returns.
template <class Call>
auto Waiting(void* mutex, Call call) {
  __tsan_release(mutex);
  IgnoreReads ignore;
  struct Acquire {
    void* mutex;
    ~Acquire() { __tsan_acquire(mutex); }
  } acquire{mutex};
  return call();
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

#define APPENDFS_REAL(result, symbol, ...) \
  static auto* const real = Real<result (*)(__VA_ARGS__)>(symbol)

void Mutex::Lock() {
  APPENDFS_REAL(void, "_ZN4absl7debian35Mutex4LockEv", Mutex*);
  real(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  APPENDFS_REAL(void, "_ZN4absl7debian35Mutex6UnlockEv", Mutex*);
  __tsan_release(this);
  IgnoreReads ignore;
  real(this);
}

bool Mutex::TryLock() {
  APPENDFS_REAL(bool, "_ZN4absl7debian35Mutex7TryLockEv", Mutex*);
  bool locked = real(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::ReaderLock() {
  APPENDFS_REAL(void, "_ZN4absl7debian35Mutex10ReaderLockEv", Mutex*);
  real(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  APPENDFS_REAL(void, "_ZN4absl7debian35Mutex12ReaderUnlockEv", Mutex*);
  __tsan_release(this);
  IgnoreReads ignore;
  real(this);
}

void Mutex::Await(const Condition& condition) {
  APPENDFS_REAL(void, "_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE", Mutex*, const Condition&);
  Waiting(this, [&] { real(this, condition); });
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  APPENDFS_REAL(bool, "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE",
                Mutex*, const Condition&, Duration);
  return Waiting(this, [&] { return real(this, condition, timeout); });
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  APPENDFS_REAL(bool, "_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE",
                Mutex*, const Condition&, Time);
  return Waiting(this, [&] { return real(this, condition, deadline); });
}

// Waiting for the mutex and a condition at once is done one after the other,
// so that the condition is published by a lock TSan knows of.
void Mutex::LockWhen(const Condition& condition) {
  Lock();
  Await(condition);
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  Lock();
  return AwaitWithTimeout(condition, timeout);
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  Lock();
  return AwaitWithDeadline(condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  APPENDFS_REAL(void, "_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE", CondVar*, Mutex*);
  Waiting(mutex, [&] { real(this, mutex); });
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  APPENDFS_REAL(bool, "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE",
                CondVar*, Mutex*, Duration);
  return Waiting(mutex, [&] { return real(this, mutex, timeout); });
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  APPENDFS_REAL(bool, "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE", CondVar*,
                Mutex*, Time);
  return Waiting(mutex, [&] { return real(this, mutex, deadline); });
}

ABSL_NAMESPACE_END
}  // namespace absl
