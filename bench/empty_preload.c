/* SPDX-License-Identifier: Apache-2.0
 * A library that hooks nothing: what LD_PRELOAD itself costs. */
int gordian_empty_preload = 1;
