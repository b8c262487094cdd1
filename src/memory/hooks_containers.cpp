// SPDX-License-Identifier: Apache-2.0
// The parts of std::map, std::set and std::list that lie in libstdc++, which tells nothing.
//
// What they touch of a tree is on the path from the node to the root, or hangs on it. All of that
// is put down: an order too many, never one too few. The layouts are part of libstdc++'s ABI.
#include "memory/real_functions.h"
#include "memory/thread.h"

#include <stddef.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

struct TreeNode {
  uint64_t color;
  TreeNode* parent;
  TreeNode* left;
  TreeNode* right;
};
struct ListNode {
  ListNode* next;
  ListNode* previous;
};

constexpr int kDeepest = 128;  // more than a tree of all addresses has

void write_node(const TreeNode* node) {
  if (node != nullptr) on_write_range(number(node), sizeof *node);
}
void read_node(const TreeNode* node) {
  if (node != nullptr) on_was_read_range(number(node), sizeof *node);
}

void write_family(const TreeNode* node) {
  if (node == nullptr) return;
  write_node(node);
  write_node(node->left);
  write_node(node->right);
}

// The path from `node` up to the header, which is the root's parent and the root its.
void write_path(const TreeNode* node, const TreeNode* header) {
  write_node(header);
  for (int i = 0; i < kDeepest && node != nullptr && node != header; ++i, node = node->parent) {
    write_node(node);
    write_family(node->left);
    write_family(node->right);
  }
}

void write_links(ListNode* node) {
  if (node == nullptr) return;
  on_write_range(number(node), sizeof *node);
  on_write_range(number(node->next), sizeof *node);
  on_write_range(number(node->previous), sizeof *node);
}

}  // namespace

// The names are those of libstdc++; HOOK is ours.
#define GORDIAN_CONTAINER(type, hook, symbol, parameters) \
  GORDIAN_HOOK_LATE(type, hook, symbol, parameters);      \
  GORDIAN_HOOK type hook parameters

GORDIAN_CONTAINER(void, tree_insert,
                  "_ZSt29_Rb_tree_insert_and_rebalancebPSt18_Rb_tree_node_baseS0_RS_",
                  (bool is_left, TreeNode* node, TreeNode* parent, TreeNode* header)) {
  if (may_tell()) {
    write_node(node);
    write_path(parent, header);
  }
  found_tree_insert()(is_left, node, parent, header);
}

GORDIAN_CONTAINER(TreeNode*, tree_erase,
                  "_ZSt28_Rb_tree_rebalance_for_erasePSt18_Rb_tree_node_baseRS_",
                  (TreeNode * node, TreeNode* header)) {
  if (may_tell()) {
    // The next node in order comes into its place, and the way from there up is balanced anew.
    const TreeNode* lowest = node;
    if (node->right != nullptr) {
      lowest = node->right;
      for (int i = 0; i < kDeepest && lowest->left != nullptr; ++i) lowest = lowest->left;
    }
    write_path(lowest, header);
    write_path(node, header);
    // The least and the greatest are looked for below it.
    for (const TreeNode* at = node->left; at != nullptr; at = at->right) read_node(at);
  }
  return found_tree_erase()(node, header);
}

namespace {

// Steps go down one way, or up.
void read_step(const TreeNode* from, bool to_right) {
  if (!may_tell() || from == nullptr) return;
  const TreeNode* below = to_right ? from->right : from->left;
  read_node(from);
  read_node(from->parent);
  if (below != nullptr) {
    for (int i = 0; i < kDeepest && below != nullptr; ++i) {
      read_node(below);
      below = to_right ? below->left : below->right;
    }
    return;
  }
  const TreeNode* at = from;
  for (int i = 0; i < kDeepest; ++i) {
    const TreeNode* const up = at->parent;
    if (up == nullptr) return;
    read_node(up);
    if ((to_right ? up->right : up->left) != at) return;
    at = up;
  }
}

}  // namespace

#define GORDIAN_TREE_STEP(hook, symbol, to_right)                 \
  GORDIAN_CONTAINER(TreeNode*, hook, symbol, (TreeNode * from)) { \
    TreeNode* const to = found_##hook()(from);                    \
    read_step(from, to_right);                                    \
    return to;                                                    \
  }

GORDIAN_TREE_STEP(tree_next, "_ZSt18_Rb_tree_incrementPSt18_Rb_tree_node_base", true)
GORDIAN_TREE_STEP(tree_next_const, "_ZSt18_Rb_tree_incrementPKSt18_Rb_tree_node_base", true)
GORDIAN_TREE_STEP(tree_previous, "_ZSt18_Rb_tree_decrementPSt18_Rb_tree_node_base", false)
GORDIAN_TREE_STEP(tree_previous_const, "_ZSt18_Rb_tree_decrementPKSt18_Rb_tree_node_base", false)

GORDIAN_CONTAINER(void, list_hook, "_ZNSt8__detail15_List_node_base7_M_hookEPS0_",
                  (ListNode * node, ListNode* before)) {
  if (may_tell()) {
    on_write_range(number(node), sizeof *node);
    write_links(before);
  }
  found_list_hook()(node, before);
}
GORDIAN_CONTAINER(void, list_unhook, "_ZNSt8__detail15_List_node_base9_M_unhookEv",
                  (ListNode * node)) {
  if (may_tell()) write_links(node);
  found_list_unhook()(node);
}
GORDIAN_CONTAINER(void, list_transfer, "_ZNSt8__detail15_List_node_base11_M_transferEPS0_S1_",
                  (ListNode * to, ListNode* first, ListNode* last)) {
  if (may_tell()) {
    write_links(to);
    write_links(first);
    write_links(last);
  }
  found_list_transfer()(to, first, last);
}
GORDIAN_CONTAINER(void, list_reverse, "_ZNSt8__detail15_List_node_base10_M_reverseEv",
                  (ListNode * head)) {
  if (may_tell()) {
    for (ListNode* at = head; at != nullptr;) {
      on_write_range(number(at), sizeof *at);
      at = at->next;
      if (at == head) break;
    }
  }
  found_list_reverse()(head);
}
GORDIAN_CONTAINER(void, list_swap, "_ZNSt8__detail15_List_node_base4swapERS0_S1_",
                  (ListNode * one, ListNode* other)) {
  if (may_tell()) {
    write_links(one);
    write_links(other);
  }
  found_list_swap()(one, other);
}

// What `stream >> value` and stream.get(value) write. The stream itself is not followed, as long as
// it is not filled from outside.
#define GORDIAN_EXTRACT(hook, symbol, type)                             \
  GORDIAN_CONTAINER(void*, hook, symbol, (void* stream, type* value)) { \
    if (may_tell()) on_write_range(number(value), sizeof *value);       \
    return found_##hook()(stream, value);                               \
  }
GORDIAN_EXTRACT(extract_short, "_ZNSirsERs", short)
GORDIAN_EXTRACT(extract_int, "_ZNSirsERi", int)
GORDIAN_EXTRACT(extract_bool, "_ZNSi10_M_extractIbEERSiRT_", bool)
GORDIAN_EXTRACT(extract_ushort, "_ZNSi10_M_extractItEERSiRT_", unsigned short)
GORDIAN_EXTRACT(extract_uint, "_ZNSi10_M_extractIjEERSiRT_", unsigned)
GORDIAN_EXTRACT(extract_long, "_ZNSi10_M_extractIlEERSiRT_", long)
GORDIAN_EXTRACT(extract_ulong, "_ZNSi10_M_extractImEERSiRT_", unsigned long)
GORDIAN_EXTRACT(extract_llong, "_ZNSi10_M_extractIxEERSiRT_", long long)
GORDIAN_EXTRACT(extract_ullong, "_ZNSi10_M_extractIyEERSiRT_", unsigned long long)
GORDIAN_EXTRACT(extract_float, "_ZNSi10_M_extractIfEERSiRT_", float)
GORDIAN_EXTRACT(extract_double, "_ZNSi10_M_extractIdEERSiRT_", double)
GORDIAN_EXTRACT(extract_ldouble, "_ZNSi10_M_extractIeEERSiRT_", long double)
GORDIAN_EXTRACT(extract_pointer, "_ZNSi10_M_extractIPvEERSiRT_", void*)
GORDIAN_EXTRACT(get_char, "_ZNSi3getERc", char)
GORDIAN_EXTRACT(extract_char, "_ZStrsIcSt11char_traitsIcEERSt13basic_istreamIT_T0_ES6_RS3_", char)
