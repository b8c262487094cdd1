// SPDX-License-Identifier: Apache-2.0
// A plugin for gcc, which `gordian cc` loads: it makes -fsanitize=thread tell all there is to tell.
// Left alone, gcc
//   - tells of a copy `*to = *from` that it writes before it tells that it reads;
//   - says nothing of structs that a call takes from memory or returns into memory;
//   - does the work of memcpy, strcmp and the like itself and says nothing of that;
//   - says nothing of what inline assembly reads and writes.
//
// It runs once for every function, before gcc puts in the calls that tell. What it cannot help with
// it writes into the object, which is then not taken for one that tells all.
//
// It is good for the gcc whose headers it was compiled with; its file is named after that.
// In the order that these headers need.
// clang-format off
#include <map>
#include <string>
#include <gcc-plugin.h>
#include <plugin-version.h>
#include <context.h>
#include <tree.h>
#include <gimple.h>
#include <tree-pass.h>
#include <ssa.h>
#include <gimple-iterator.h>
#include <gimplify.h>
#include <gimplify-me.h>
#include <attribs.h>
#include <asan.h>
#include <cfg.h>
#include <cgraph.h>
#include <cfganal.h>
#include <internal-fn.h>
#include <output.h>
#include <stringpool.h>
#include <tree-cfg.h>
#include <tree-eh.h>
#include <tree-ssa-operands.h>
// clang-format on

// gcc asks for it before it loads a plugin; the Apache License 2.0 is compatible with its own.
__attribute__((visibility("default"))) int plugin_is_GPL_compatible;

namespace {

bool has_holes = false;

// Copies of this many bytes go by way of the stack; larger ones are left to memcpy.
constexpr HOST_WIDE_INT kLargestOnStack = 64;
// A struct that a call returns has to.
constexpr HOST_WIDE_INT kLargestReturned = 64 * 1024;

// Whether another thread can reach it, as gcc sees it when it decides what to tell of.
bool is_shared(tree memory) {
  tree base = get_base_address(memory);
  if (base == NULL_TREE) return false;
  if (TREE_CODE(base) == MEM_REF || TREE_CODE(base) == TARGET_MEM_REF) return true;
  if (!DECL_P(base) || (VAR_P(base) && DECL_HARD_REGISTER(base))) return false;
  return is_global_var(base) || may_be_aliased(base);
}

bool is_memory(tree value) {
  return value != NULL_TREE && TREE_CODE(value) != SSA_NAME && !is_gimple_min_invariant(value) &&
         TREE_CODE(value) != CONSTRUCTOR;
}

// Negative: not known when it is compiled.
HOST_WIDE_INT size_of(tree value) { return int_size_in_bytes(TREE_TYPE(value)); }

tree make_variable(function* body, tree type) {
  // Not create_tmp_var(), which wants no class with a destructor: this is a copy of its bytes.
  tree variable = create_tmp_var_raw(type, "told");
  DECL_CONTEXT(variable) = body->decl;
  add_local_decl(body, variable);
  return variable;
}

// By type: what goes from one place to another at once needs one for all of a function, however
// many there are.
std::map<tree, tree> temporaries;

tree make_temporary(function* body, tree type) {
  type = TYPE_MAIN_VARIANT(type);
  if (is_gimple_reg_type(type)) return make_ssa_name(type);
  tree& known = temporaries[type];
  if (known == NULL_TREE) known = make_variable(body, type);
  return known;
}

// Where a temporary is no longer wanted, another may have its place on the stack.
gimple* end_of(tree temporary) {
  return TREE_CODE(temporary) == SSA_NAME
             ? nullptr
             : gimple_build_assign(temporary, build_clobber(TREE_TYPE(temporary)));
}

tree address_of(gimple_stmt_iterator* at, tree memory) {
  return force_gimple_operand_gsi(at, build_fold_addr_expr(unshare_expr(memory)), true, NULL_TREE,
                                  true, GSI_SAME_STMT);
}

void tell_at_before(gimple_stmt_iterator* at, tree address, HOST_WIDE_INT size,
                    built_in_function what) {
  gcall* call = gimple_build_call(builtin_decl_implicit(what), 2, address,
                                  build_int_cst(size_type_node, size));
  gimple_set_location(call, gimple_location(gsi_stmt(*at)));
  gsi_insert_before(at, call, GSI_SAME_STMT);
}

void tell_before(gimple_stmt_iterator* at, tree memory, built_in_function what) {
  const HOST_WIDE_INT size = size_of(memory);
  if (size < 0) {
    has_holes = true;
    return;
  }
  tell_at_before(at, address_of(at, memory), size, what);
}

// The same function, but no longer one whose work gcc knows how to do. It may have a name of its
// own (void* memcpy(...) __asm__("my_memcpy")), which stays. NAME: of what only gcc knows; or
// nullptr.
void make_plain(gcall* call, const char* name) {
  tree function = copy_node(gimple_call_fndecl(call));
  set_decl_built_in_function(function, NOT_BUILT_IN, 0);
  if (name != nullptr) SET_DECL_ASSEMBLER_NAME(function, get_identifier(name));
  gimple_call_set_fndecl(call, function);
}

// What gcc may do itself.
constexpr built_in_function kFunctions[] = {
    BUILT_IN_MEMCPY,      BUILT_IN_MEMPCPY, BUILT_IN_MEMMOVE, BUILT_IN_BCOPY,   BUILT_IN_MEMSET,
    BUILT_IN_BZERO,       BUILT_IN_MEMCHR,  BUILT_IN_MEMCMP,  BUILT_IN_BCMP,    BUILT_IN_STRCPY,
    BUILT_IN_STRNCPY,     BUILT_IN_STPCPY,  BUILT_IN_STPNCPY, BUILT_IN_STRCAT,  BUILT_IN_STRNCAT,
    BUILT_IN_STRLEN,      BUILT_IN_STRNLEN, BUILT_IN_STRCMP,  BUILT_IN_STRNCMP, BUILT_IN_STRCASECMP,
    BUILT_IN_STRNCASECMP, BUILT_IN_STRCHR,  BUILT_IN_STRRCHR, BUILT_IN_STRSTR,  BUILT_IN_STRPBRK,
    BUILT_IN_STRSPN,      BUILT_IN_STRCSPN,
};
// ... by another name than that of the function which the library has, or we have a hook of.
constexpr struct {
  built_in_function function;
  const char* name;
} kRenamed[] = {
    {BUILT_IN_MEMCMP_EQ, "memcmp"},   {BUILT_IN_STRCMP_EQ, "strcmp"},
    {BUILT_IN_STRNCMP_EQ, "strncmp"}, {BUILT_IN_INDEX, "strchr"},
    {BUILT_IN_RINDEX, "strrchr"},
};

void leave_to_library(gcall* call, built_in_function function) {
  for (const built_in_function one : kFunctions)
    if (one == function) make_plain(call, nullptr);
  for (const auto& one : kRenamed)
    if (one.function == function) make_plain(call, one.name);
}

// Loads and stores of vectors that nobody tells of.
bool is_untold(internal_fn function) {
  switch (function) {
    case IFN_MASK_LOAD:
    case IFN_MASK_STORE:
    case IFN_LOAD_LANES:
    case IFN_STORE_LANES:
    case IFN_MASK_LOAD_LANES:
    case IFN_MASK_STORE_LANES:
    case IFN_GATHER_LOAD:
    case IFN_MASK_GATHER_LOAD:
    case IFN_SCATTER_STORE:
    case IFN_MASK_SCATTER_STORE:
    case IFN_LEN_LOAD:
    case IFN_LEN_STORE:
      return true;
    default:
      return false;
  }
}

// A builtin of the processor that is handed an address is an instruction that reads or writes
// there. Which, and how far, is known of those that add with carry: they write one number.
void tell_of_instruction(gimple_stmt_iterator* at, const gcall* call) {
  if (!gimple_call_builtin_p(call, BUILT_IN_MD) || gimple_vuse(call) == NULL_TREE) return;
  const char* name = IDENTIFIER_POINTER(DECL_NAME(gimple_call_fndecl(call)));
  const bool carries = strstr(name, "_addcarry") != nullptr || strstr(name, "_sbb") != nullptr;
  for (unsigned i = 0; i < gimple_call_num_args(call); ++i) {
    tree argument = gimple_call_arg(call, i);
    if (!POINTER_TYPE_P(TREE_TYPE(argument))) continue;
    const HOST_WIDE_INT size = int_size_in_bytes(TREE_TYPE(TREE_TYPE(argument)));
    if (carries && size > 0) {
      tell_at_before(at, argument, size, BUILT_IN_TSAN_WRITE_RANGE);
    } else {
      has_holes = true;
    }
  }
}

void read_before(gimple_stmt_iterator* at, tree from, tree to) {
  gassign* read = gimple_build_assign(to, from);
  gimple_set_location(read, gimple_location(gsi_stmt(*at)));
  gsi_insert_before(at, read, GSI_SAME_STMT);
}

// `*to = *from`: the write must not be told before the read has happened.
void split_copy(function* body, gimple_stmt_iterator* at) {
  gimple* copy = gsi_stmt(*at);
  tree to = gimple_assign_lhs(copy);
  tree from = gimple_assign_rhs1(copy);
  if (!is_shared(to) || !is_memory(from) || !is_shared(from)) return;
  const HOST_WIDE_INT size = size_of(to);
  if (size < 0 || stmt_can_throw_internal(body, copy)) {
    has_holes = true;
    return;
  }
  if (size > kLargestOnStack) {
    gcall* call = gimple_build_call(builtin_decl_implicit(BUILT_IN_MEMCPY), 3, address_of(at, to),
                                    address_of(at, from), build_int_cst(size_type_node, size));
    make_plain(call, nullptr);
    gimple_set_location(call, gimple_location(copy));
    gsi_replace(at, call, true);
    return;
  }
  tree between = make_temporary(body, TREE_TYPE(from));
  read_before(at, from, between);
  gimple_assign_set_rhs1(copy, between);
  update_stmt(copy);
  if (gimple* end = end_of(between)) gsi_insert_after(at, end, GSI_NEW_STMT);
}

// Behind a statement, which may be the last of its block and throw: then it runs if it does not.
void insert_behind(gimple_stmt_iterator* at, gimple* statement) {
  gimple* before = gsi_stmt(*at);
  if (!stmt_ends_bb_p(before)) {
    gsi_insert_after(at, statement, GSI_NEW_STMT);
  } else if (edge after = find_fallthru_edge(gimple_bb(before)->succs)) {
    gsi_insert_on_edge(after, statement);
  } else {
    has_holes = true;
  }
}

// `*to = f()`, of a type that is not a register's: the write is told once there is what it writes.
void split_return(function* body, gimple_stmt_iterator* at) {
  auto* call = as_a<gcall*>(gsi_stmt(*at));
  tree to = gimple_call_lhs(call);
  // What is made by a constructor is made in place, by code that tells.
  if (!is_memory(to) || !is_shared(to) || TREE_ADDRESSABLE(TREE_TYPE(to))) return;
  if (gimple_call_noreturn_p(call)) return;
  const HOST_WIDE_INT size = size_of(to);
  if (size < 0 || size > kLargestReturned) {
    has_holes = true;
    return;
  }
  tree between = make_temporary(body, TREE_TYPE(to));
  gimple_call_set_lhs(call, between);
  update_stmt(call);
  gassign* write = gimple_build_assign(to, between);
  gimple_set_location(write, gimple_location(call));
  insert_behind(at, write);
  if (gimple* end = end_of(between)) insert_behind(at, end);
}

// `f(*p)`: the copy is made when all else is done, and before the function does anything. Of
// several each is read by itself: to tell of the next is to look up who wrote the last.
void tell_of_arguments(function* body, gimple_stmt_iterator* at, gcall* call) {
  unsigned count = 0;
  const auto is_read = [](tree argument) {
    return is_memory(argument) && !is_gimple_reg_type(TREE_TYPE(argument)) && is_shared(argument);
  };
  for (unsigned i = 0; i < gimple_call_num_args(call); ++i)
    count += is_read(gimple_call_arg(call, i));
  if (count == 0) return;
  for (unsigned i = 0; i < gimple_call_num_args(call); ++i) {
    tree argument = gimple_call_arg(call, i);
    if (!is_read(argument)) continue;
    const HOST_WIDE_INT size = size_of(argument);
    if (count == 1) {
      tell_before(at, argument, BUILT_IN_TSAN_READ_RANGE);
    } else if (size < 0 || size > kLargestReturned) {
      has_holes = true;
    } else {
      tree between = make_variable(body, TYPE_MAIN_VARIANT(TREE_TYPE(argument)));
      read_before(at, argument, between);
      gimple_call_set_arg(call, i, between);
    }
  }
  update_stmt(call);
}

void tell_of_call(function* body, gimple_stmt_iterator* at) {
  auto* call = as_a<gcall*>(gsi_stmt(*at));
  if (gimple_call_internal_p(call)) {
    has_holes = has_holes || is_untold(gimple_call_internal_fn(call));
    return;
  }
  tell_of_instruction(at, call);
  if (tree function = gimple_call_fndecl(call);
      function != NULL_TREE && fndecl_built_in_p(function, BUILT_IN_NORMAL)) {
    leave_to_library(call, DECL_FUNCTION_CODE(function));
  }
  tell_of_arguments(body, at, call);
  split_return(body, at);
}

// What it both reads and writes counts as written, and who wrote it meanwhile is looked up later.
// But what it copies from one place to another would be told in the wrong order.
void tell_of_assembly(gimple_stmt_iterator* at) {
  auto* assembly = as_a<gasm*>(gsi_stmt(*at));
  const auto is_told = [](tree operand) { return is_memory(operand) && is_shared(operand); };
  bool any_written = false;
  for (unsigned i = 0; i < gimple_asm_noutputs(assembly); ++i) {
    tree to = TREE_VALUE(gimple_asm_output_op(assembly, i));
    if (!is_told(to)) continue;
    any_written = true;
    tell_before(at, to, BUILT_IN_TSAN_WRITE_RANGE);
  }
  unsigned reads = 0;
  for (unsigned i = 0; i < gimple_asm_ninputs(assembly); ++i) {
    tree from = TREE_VALUE(gimple_asm_input_op(assembly, i));
    if (!is_told(from)) continue;
    bool is_output = false;
    for (unsigned o = 0; o < gimple_asm_noutputs(assembly); ++o)
      is_output =
          is_output || operand_equal_p(from, TREE_VALUE(gimple_asm_output_op(assembly, o)), 0);
    has_holes = has_holes || (any_written && !is_output) || ++reads > 1;
    tell_before(at, from, BUILT_IN_TSAN_READ_RANGE);
  }
}

// Loads and stores that gcc leaves out for what they are made of.
enum class LeftOut { No, ByName, Entirely };

// ByName: it has an address all the same, by which it can be told.
LeftOut left_out(tree memory) {
  if (!is_memory(memory) || !is_shared(memory)) return LeftOut::No;
  tree base = get_base_address(memory);
  if (size_of(memory) <= 0) return LeftOut::Entirely;
  if (DECL_P(base) && TREE_READONLY(base) && TREE_THIS_VOLATILE(base)) return LeftOut::Entirely;
  LeftOut result = LeftOut::No;
  for (tree part = memory; handled_component_p(part); part = TREE_OPERAND(part, 0)) {
    if (TREE_CODE(part) == BIT_FIELD_REF) return LeftOut::Entirely;
    if (AGGREGATE_TYPE_P(TREE_TYPE(TREE_OPERAND(part, 0))) &&
        TYPE_REVERSE_STORAGE_ORDER(TREE_TYPE(TREE_OPERAND(part, 0))))
      return LeftOut::Entirely;
    if (TREE_CODE(part) != COMPONENT_REF) continue;
    tree field = TREE_OPERAND(part, 1);
    if (DECL_BIT_FIELD_TYPE(field) != NULL_TREE) {
      if (DECL_BIT_FIELD_REPRESENTATIVE(field) == NULL_TREE) return LeftOut::Entirely;
    } else if (DECL_NONADDRESSABLE_P(field)) {
      result = LeftOut::ByName;  // of a pointer to a member, or the frame of a nested function
    }
  }
  return result;
}

void tell_if_left_out(gimple_stmt_iterator* at, tree memory, built_in_function what) {
  switch (left_out(memory)) {
    case LeftOut::No:
      return;
    case LeftOut::ByName:
      return tell_before(at, memory, what);
    case LeftOut::Entirely:
      has_holes = true;
  }
}

void tell_of_statement(function* body, gimple_stmt_iterator* at) {
  gimple* statement = gsi_stmt(*at);
  if (is_gimple_call(statement)) {
    tell_of_call(body, at);
  } else if (gimple_code(statement) == GIMPLE_ASM) {
    tell_of_assembly(at);
  } else if (gimple_assign_single_p(statement) && !gimple_clobber_p(statement)) {
    tree from = gimple_assign_rhs1(statement);
    if (gimple_assign_load_p(statement)) tell_if_left_out(at, from, BUILT_IN_TSAN_READ_RANGE);
    tell_if_left_out(at, gimple_assign_lhs(statement), BUILT_IN_TSAN_WRITE_RANGE);
    if (is_memory(gimple_assign_lhs(statement))) split_copy(body, at);
  }
}

constexpr pass_data kPass = {
    GIMPLE_PASS, "gordian", OPTGROUP_NONE, TV_NONE, PROP_ssa | PROP_cfg, 0, 0, 0, TODO_update_ssa,
};

class TellAll : public gimple_opt_pass {
 public:
  TellAll(gcc::context* context, bool is_optimized)
      : gimple_opt_pass(kPass, context), is_optimized_(is_optimized) {}
  opt_pass* clone() override { return new TellAll(m_ctxt, is_optimized_); }
  bool gate(function*) override { return (optimize != 0) == is_optimized_; }

  unsigned execute(function* body) override {
    // Where each load may throw (-fnon-call-exceptions) nothing is put between.
    if (!sanitize_flags_p(SANITIZE_THREAD, body->decl) || body->can_throw_non_call_exceptions) {
      has_holes = true;
      return 0;
    }
    temporaries.clear();
    initialize_sanitizer_builtins();
    basic_block block;
    FOR_EACH_BB_FN(block, body) {
      for (gimple_stmt_iterator at = gsi_start_bb(block); !gsi_end_p(at); gsi_next(&at))
        tell_of_statement(body, &at);
    }
    gsi_commit_edge_inserts();
    return 0;
  }

 private:
  bool is_optimized_;
};

// Whether assembly outside of all functions is more than directives and labels: then it is code
// that tells nothing. (Directives that make data have no say in what threads do.)
bool has_instructions(const char* assembly) {
  bool at_start = true;  // of a statement
  for (const char* at = assembly; *at != '\0'; ++at) {
    if (*at == '\n' || *at == ';') {
      at_start = true;
    } else if (at_start && *at != ' ' && *at != '\t') {
      at_start = false;
      const size_t word = strcspn(at, " \t\n;:");
      const bool is_label = at[word] == ':';
      if (is_label) {
        at += word;
        at_start = true;
      } else if (*at != '.' && *at != '#') {
        return true;
      }
    }
  }
  return false;
}

void look_at_assembly(void*, void*) {
  for (asm_node* node = symtab->first_asm_symbol(); node != nullptr; node = node->next)
    has_holes = has_holes || has_instructions(TREE_STRING_POINTER(node->asm_str));
}

// A byte for each source in an object: whether all that it reads and writes is told. And room for
// what gordian cc writes there when the object is made (process/told_objects).
void note_holes(void*, void*) {
  if (asm_out_file == nullptr) return;
  const auto put = [](const char* section, const char* what) {
    fprintf(asm_out_file, "\t.pushsection %s, \"e\", @progbits\n\t%s\n\t.popsection\n", section,
            what);
  };
  put(".gordian.told", has_holes ? ".byte 0" : ".byte 1");
  put(".gordian.seal", ".quad 0");
}

// Without what a distribution calls its build: that changes with every update.
std::string without_name(std::string configuration) {
  const size_t begin = configuration.find("--with-pkgversion=");
  if (begin == std::string::npos) return configuration;
  const size_t end = configuration.find(" --", begin);
  return configuration.erase(begin, end == std::string::npos ? end : end - begin);
}

// The same number is not enough: built in another way, what gcc has inside may lie elsewhere.
bool is_ours(const plugin_gcc_version& version) {
  return strcmp(version.basever, gcc_version.basever) == 0 &&
         strcmp(version.datestamp, gcc_version.datestamp) == 0 &&
         without_name(version.configuration_arguments) ==
             without_name(gcc_version.configuration_arguments);
}

}  // namespace

__attribute__((visibility("default"))) int plugin_init(plugin_name_args* plugin,
                                                       plugin_gcc_version* version) {
  register_callback(plugin->base_name, PLUGIN_FINISH_UNIT, note_holes, nullptr);
  if (!is_ours(*version)) {
    has_holes = true;
    return 0;
  }
  register_callback(plugin->base_name, PLUGIN_ALL_IPA_PASSES_START, look_at_assembly, nullptr);
  // gcc has one for what is optimized, at each place where that may end, and one for the rest.
  register_pass_info optimized = {new TellAll(g, true), "tsan", 0, PASS_POS_INSERT_BEFORE};
  register_pass_info plain = {new TellAll(g, false), "tsan0", 0, PASS_POS_INSERT_BEFORE};
  register_callback(plugin->base_name, PLUGIN_PASS_MANAGER_SETUP, nullptr, &optimized);
  register_callback(plugin->base_name, PLUGIN_PASS_MANAGER_SETUP, nullptr, &plain);
  return 0;
}
