// SPDX-License-Identifier: Apache-2.0
#include "process/trusted_functions.h"

#include "base/file.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <gelf.h>
#include <set>
#include <unistd.h>
#include <unordered_set>

namespace gordian::process {
namespace {

// Words. Old and new names of one function stand together; those of mathematics also with f and l.
constexpr std::string_view kTrusted = R"(
  abort exit _exit _Exit quick_exit __cxa_finalize
  __cxa_thread_atexit_impl __libc_start_main __libc_csu_init __gmon_start__ __stack_chk_fail
  __assert_fail __assert __assert_perror_fail __errno_location __h_errno_location
  __libc_single_threaded __register_atfork __tls_get_addr _dl_find_object dl_iterate_phdr gnu_get_libc_version
  backtrace_symbols backtrace_symbols_fd __fdelt_chk

  malloc calloc free cfree aligned_alloc memalign valloc pvalloc
  malloc_usable_size malloc_trim mallopt sbrk brk
  mprotect posix_madvise mlock munlock msync

  setjmp _setjmp __sigsetjmp longjmp _longjmp siglongjmp __longjmp_chk
  sigemptyset sigfillset sigaddset sigdelset sigismember
  sigaltstack raise strsignal psignal

  getpid getppid gettid
  getdtablesize getpagesize
  getauxval sysconf __sysconf pathconf fpathconf
  isatty ttyname sleep usleep pause
  sched_yield sched_getcpu getcpu
  sched_get_priority_min sched_get_priority_max __sched_cpucount __sched_cpualloc
  __sched_cpufree get_nprocs get_nprocs_conf
  dlopen dlsym dlvsym dlclose dlerror dladdr dladdr1 dlinfo

  pthread_create pthread_join pthread_tryjoin_np pthread_timedjoin_np pthread_clockjoin_np
  pthread_detach pthread_exit pthread_self pthread_equal pthread_testcancel
  pthread_setcancelstate pthread_setcanceltype pthread_once pthread_key_create __pthread_key_create
  pthread_key_delete pthread_getspecific pthread_setspecific pthread_atfork
  pthread_setconcurrency
  pthread_attr_init pthread_attr_destroy pthread_attr_setdetachstate
  pthread_attr_setstacksize pthread_attr_setstack
  pthread_attr_setguardsize pthread_attr_setscope
  pthread_attr_setinheritsched pthread_attr_setschedparam pthread_attr_setschedpolicy
  pthread_attr_setaffinity_np
  pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_trylock
  pthread_mutex_timedlock pthread_mutex_clocklock pthread_mutex_unlock pthread_mutex_consistent
  pthread_mutexattr_init pthread_mutexattr_destroy pthread_mutexattr_settype
  pthread_mutexattr_setpshared
  pthread_mutexattr_setprotocol pthread_mutexattr_setrobust pthread_mutexattr_setprioceiling
  pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_timedwait
  pthread_cond_clockwait pthread_cond_signal pthread_cond_broadcast pthread_condattr_init
  pthread_condattr_destroy pthread_condattr_setclock pthread_condattr_setpshared
  pthread_rwlock_init pthread_rwlock_destroy pthread_rwlock_rdlock pthread_rwlock_tryrdlock
  pthread_rwlock_timedrdlock pthread_rwlock_clockrdlock pthread_rwlock_wrlock
  pthread_rwlock_trywrlock pthread_rwlock_timedwrlock pthread_rwlock_clockwrlock
  pthread_rwlock_unlock pthread_rwlockattr_init pthread_rwlockattr_destroy
  pthread_rwlockattr_setkind_np pthread_rwlockattr_setpshared
  pthread_spin_init pthread_spin_destroy pthread_spin_lock pthread_spin_trylock pthread_spin_unlock
  pthread_barrier_init pthread_barrier_destroy pthread_barrier_wait
  pthread_barrierattr_init pthread_barrierattr_destroy pthread_barrierattr_setpshared
  sem_init sem_destroy sem_wait sem_trywait sem_timedwait sem_clockwait sem_post sem_close
  thrd_create thrd_join thrd_detach thrd_exit thrd_current thrd_equal thrd_yield
  thrd_sleep mtx_init mtx_destroy mtx_lock mtx_trylock mtx_timedlock mtx_unlock cnd_init cnd_destroy
  cnd_wait cnd_timedwait cnd_signal cnd_broadcast call_once tss_create tss_delete tss_get tss_set

  fork execv execve execvp execvpe execl execle execlp fexecve
  posix_spawn_file_actions_init posix_spawn_file_actions_destroy posix_spawn_file_actions_addclose
  posix_spawn_file_actions_adddup2 posix_spawn_file_actions_addopen posix_spawnattr_init
  posix_spawnattr_destroy posix_spawnattr_setflags posix_spawnattr_setsigdefault
  posix_spawnattr_setsigmask posix_spawnattr_setpgroup daemon
  socket eventfd timerfd_create epoll_create epoll_create1 inotify_init inotify_init1
  inotify_rm_watch memfd_create fsync fdatasync sync syncfs sync_file_range
  posix_fadvise posix_fadvise64 readahead
  closedir rewinddir dirfd
  freeaddrinfo gai_strerror getifaddrs freeifaddrs if_nametoindex htons htonl ntohs ntohl in6addr_any in6addr_loopback
  getprotobyname getservbyname inet_ntoa inet_addr

  stdin stdout stderr fileno fileno_unlocked fdopen setbuf setvbuf setlinebuf tmpfile tmpfile64
  clearerr clearerr_unlocked flockfile funlockfile ftrylockfile __freading __fwriting __fpending
  __fsetlocking perror psiginfo err errx warn warnx verr verrx vwarn vwarnx error
  syslog vsyslog openlog closelog __syslog_chk __vsyslog_chk

  newlocale freelocale duplocale uselocale gettext dgettext dcgettext
  ngettext dngettext dcngettext textdomain bindtextdomain bind_textdomain_codeset
  __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc __ctype_get_mb_cur_max
  isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit
  tolower toupper iswalnum iswalpha iswcntrl iswdigit iswgraph iswlower iswprint iswpunct iswspace
  iswupper iswxdigit towlower towupper wcwidth btowc wctob mbsinit
  __newlocale __freelocale __duplocale __uselocale __nl_langinfo_l __iswctype_l __wctype_l __towlower_l __towupper_l
  strerror strerrorname_np strerrordesc_np getopt getopt_long getopt_long_only optarg optind opterr optopt
  program_invocation_name program_invocation_short_name __progname environ __environ _environ
  tzset timezone daylight tzname __timezone clock times difftime localtime gmtime ctime
  asctime
  rand srand random srandom drand48 lrand48 srand48 abs labs llabs div ldiv lldiv ffs ffsl ffsll bsearch
  getpwnam getpwuid getgrnam getgrgid getlogin getspnam
  iconv_open iconv_close

  acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 exp10 expm1
  fabs fdim floor fma fmax fmin fmod hypot ilogb j0 j1 jn ldexp llrint llround log log10 log1p log2
  logb lrint lround nan nearbyint nextafter nexttoward pow remainder rint round roundeven scalb
  scalbln scalbn sin sinh sqrt tan tanh tgamma trunc y0 y1 yn finite isinf isnan __finite __isinf
  __isnan __fpclassify __signbit fesetround fegetround feclearexcept feraiseexcept fetestexcept
  feenableexcept fedisableexcept
)";

const std::unordered_set<std::string_view>& trusted() {
  static const std::unordered_set<std::string_view> all = [] {
    std::unordered_set<std::string_view> names;
    for (std::string_view rest = kTrusted; !rest.empty();) {
      const size_t end = std::min(rest.find_first_of(" \n"), rest.size());
      if (end > 0) names.insert(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return names;
  }();
  return all;
}

class DynamicSymbols {
 public:
  explicit DynamicSymbols(const std::string& path)
      : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (!file_ || elf_version(EV_CURRENT) == EV_NONE) return;
    elf_ = elf_begin(file_.get(), ELF_C_READ, nullptr);
  }
  DynamicSymbols(const DynamicSymbols&) = delete;
  DynamicSymbols& operator=(const DynamicSymbols&) = delete;
  ~DynamicSymbols() { elf_end(elf_); }

  // visit(name, is defined, name of the version or "")
  template <typename Visit>
  void each(const Visit& visit) {
    read_sections();
    if (symbols_ == nullptr || entry_ == 0) return;
    const auto count = static_cast<int>(symbols_->d_size / entry_);
    for (int i = 0; i < count; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(symbols_, i, &symbol) == nullptr) continue;
      const char* const name = elf_strptr(elf_, names_, symbol.st_name);
      if (name != nullptr) visit(name, symbol.st_shndx != SHN_UNDEF, version_of(i));
    }
  }

 private:
  void read_sections() {
    if (elf_ == nullptr || elf_kind(elf_) != ELF_K_ELF) return;
    for (Elf_Scn* section = elf_nextscn(elf_, nullptr); section != nullptr;
         section = elf_nextscn(elf_, section)) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr) continue;
      if (header.sh_type == SHT_DYNSYM) {
        names_ = header.sh_link;
        entry_ = header.sh_entsize;
        symbols_ = elf_getdata(section, nullptr);
      } else if (header.sh_type == SHT_GNU_versym) {
        versions_ = elf_getdata(section, nullptr);
      } else if (header.sh_type == SHT_GNU_verneed) {
        needed_names_ = header.sh_link;
        needed_ = elf_getdata(section, nullptr);
      }
    }
  }

  [[nodiscard]] std::string_view version_of(int index) const {
    GElf_Versym version = 0;
    if (versions_ == nullptr || needed_ == nullptr ||
        gelf_getversym(versions_, index, &version) == nullptr)
      return {};
    GElf_Verneed need;
    for (int at = 0; gelf_getverneed(needed_, at, &need) != nullptr;
         at += static_cast<int>(need.vn_next)) {
      GElf_Vernaux entry;
      for (int inner = at + static_cast<int>(need.vn_aux);
           gelf_getvernaux(needed_, inner, &entry) != nullptr;
           inner += static_cast<int>(entry.vna_next)) {
        if (entry.vna_other == (version & 0x7fff)) {
          const char* const name = elf_strptr(elf_, needed_names_, entry.vna_name);
          return name == nullptr ? std::string_view() : name;
        }
        if (entry.vna_next == 0) break;
      }
      if (need.vn_next == 0) break;
    }
    return {};
  }

  FileDescriptor file_;
  Elf* elf_ = nullptr;
  Elf_Data* symbols_ = nullptr;
  Elf_Data* versions_ = nullptr;
  Elf_Data* needed_ = nullptr;
  size_t names_ = 0, needed_names_ = 0;
  size_t entry_ = 0;
};

}  // namespace

bool is_trusted_function(std::string_view name) {
  if (trusted().contains(name)) return true;
  const bool has_kind = name.ends_with('f') || name.ends_with('l');
  return has_kind && trusted().contains(name.substr(0, name.size() - 1));
}

std::vector<std::string> find_unfollowed(const std::string& path,
                                         const std::vector<std::string>& libraries) {
  std::set<std::string, std::less<>> hooks;
  for (const std::string& library : libraries)
    DynamicSymbols(library).each([&](const char* name, bool is_defined, std::string_view) {
      if (is_defined) hooks.emplace(name);
    });
  std::vector<std::string> found;
  DynamicSymbols(path).each([&](std::string_view name, bool is_defined, std::string_view version) {
    if (!is_defined && version.starts_with("GLIBC_") && !hooks.contains(name) &&
        !is_trusted_function(name))
      found.emplace_back(name);
  });
  return found;
}

}  // namespace gordian::process
