/* SPDX-License-Identifier: Apache-2.0
 *
 * The interface between a plugin process and the shared object that it loads: plain C, so that a
 * plugin can be written in any language and outlive any compiler. This file is all that a plugin
 * needs to know of Porthole.
 *
 * A plugin turns the bytes of one document into a picture, or into HTML. It exports one function:
 *
 *   const porthole_plugin* porthole_plugin_table(void) { return &table; }
 *
 * and for each document the host calls, always on the same thread and in this order:
 *
 *   open     here is a document of one of your MIME types, and what it may cost
 *   feed     here are (more of) its bytes; once or often
 *   finish   that was all of it; how large is what you make of it?
 *   render   draw it into this buffer            (when finish told a width and height)
 *   text     write the HTML into this buffer     (when finish told text_bytes)
 *   explain  why not?                            (after any of them failed)
 *   close    forget it                           (always, when open gave a document)
 *
 * Several documents may be open at once. A function that fails returns what it failed of, one of
 * PORTHOLE_INVALID to PORTHOLE_NO_MEMORY; then only explain and close follow.
 *
 * MEMORY. Buffers belong to the host: the plugin fills them during the call and keeps no pointer
 * to them, with one exception: what was fed stays readable and unchanged until close. What the
 * plugin allocates it frees in close.
 * WHERE IT RUNS. In a process of its own, in a sandbox. While the shared object is loaded (its
 * constructors, porthole_plugin_table) it can read the system's library folders and map code from
 * there. From the first open on it cannot open a file, use the network, start a program or load
 * code: a call that tries ends the process. Threads are allowed. Memory is limited.
 * WHAT THE HOST BELIEVES. Nothing: every number told is checked. A plugin that crashes, loops or
 * answers nonsense costs its user a placeholder.
 */
#ifndef PORTHOLE_PLUGIN_ABI_H
#define PORTHOLE_PLUGIN_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PORTHOLE_PLUGIN_VERSION 1u

enum {
  PORTHOLE_OK = 0,
  PORTHOLE_INVALID = 1,     /* the document is damaged, or cut short */
  PORTHOLE_TOO_LARGE = 2,   /* it would need more than the request allows */
  PORTHOLE_UNSUPPORTED = 3, /* it is whole, and of a kind that this plugin does not know */
  PORTHOLE_NO_MEMORY = 4
};

/* The plugin's own, one for each open document. */
typedef struct porthole_document porthole_document;

/* `size` in each struct is sizeof it, as its writer knows it: later versions add fields at the
 * end, and the reader looks only at those that `size` covers. */

/* Written by the host. */
typedef struct porthole_request {
  uint32_t size;
  /* The size that a picture without one of its own (a drawing) shall have. 0: as it likes; when one
   * of them is 0, what its proportions ask for. Pictures with a size of their own ignore it. */
  int32_t wanted_width;
  int32_t wanted_height;
  /* More is refused: width or height, width times height, bytes of text. */
  int32_t max_side;
  int64_t max_pixels;
  uint64_t max_text_bytes;
} porthole_request;

/* Written by the plugin, all zero but `size` before. */
typedef struct porthole_measure {
  uint32_t size;
  /* Of the picture, in pixels; 0 and 0 for none. */
  int32_t width;
  int32_t height;
  /* Of the HTML, UTF-8, without a zero at its end; 0 for none. */
  uint64_t text_bytes;
} porthole_measure;

/* The table; it must stay as it is while the plugin is loaded. No pointer in it is null, apart from
 * `render` of a plugin that makes only text and `text` of one that makes only pictures. */
typedef struct porthole_plugin {
  uint32_t size;
  /* PORTHOLE_PLUGIN_VERSION that the plugin was written for. */
  uint32_t version;
  /* For people: "image". */
  const char* name;
  /* Lower case, without parameters: "image/png". Ends with NULL. */
  const char* const* mime_types;

  /* `request` is the host's, and valid during the call only. */
  int32_t (*open)(const char* mime_type, const porthole_request* request,
                  porthole_document** document);
  int32_t (*feed)(porthole_document* document, const void* bytes, size_t size);
  int32_t (*finish)(porthole_document* document, porthole_measure* measure);
  /* `height` rows of `width` pixels, `stride` bytes from the start of one to the start of the next
   * (at least 4 * width, a multiple of 4). All zero before. A pixel has 32 bits in native byte
   * order, 0xAARRGGBB, its colours multiplied by its alpha; the colours are sRGB. Of animations,
   * the first frame. */
  int32_t (*render)(porthole_document* document, void* pixels, size_t stride);
  /* `size` is the text_bytes that finish told. */
  int32_t (*text)(porthole_document* document, char* buffer, size_t size);
  /* One line for people, in English, without a full stop and without a zero at its end: "PNG
   * damaged after 71 of 240 rows". Returns how many bytes it wrote, 0 when it does not know. */
  size_t (*explain)(const porthole_document* document, char* buffer, size_t size);
  void (*close)(porthole_document* document);
} porthole_plugin;

/* The one exported function, to be defined by the plugin. Called once. */
__attribute__((visibility("default"))) const porthole_plugin* porthole_plugin_table(void);

#ifdef __cplusplus
}
#endif

#endif
