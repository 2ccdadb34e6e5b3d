// SPDX-License-Identifier: Apache-2.0
#include "renderer/master_css.hpp"

namespace porthole {

const char* const master_css = R"css(
html { display: block; position: relative; }
head, link, meta, title, script, style, template, noframes, datalist, area, param, source, track { display: none; }
body { display: block; margin: 8px; }
div, section, article, aside, nav, header, footer, main, address, hgroup, form, fieldset, details, summary,
figcaption, legend, dl, dt, noscript { display: block; }
p { display: block; margin: 1em 0; }
h1 { display: block; font-weight: bold; font-size: 2em; margin: 0.67em 0; }
h2 { display: block; font-weight: bold; font-size: 1.5em; margin: 0.83em 0; }
h3 { display: block; font-weight: bold; font-size: 1.17em; margin: 1em 0; }
h4 { display: block; font-weight: bold; margin: 1.33em 0; }
h5 { display: block; font-weight: bold; font-size: 0.83em; margin: 1.67em 0; }
h6 { display: block; font-weight: bold; font-size: 0.67em; margin: 2.33em 0; }
address, i, em, cite, var, dfn { font-style: italic; }
b, strong { font-weight: bold; }
u, ins { text-decoration: underline; }
s, strike, del { text-decoration: line-through; }
code, kbd, samp, tt { font-family: monospace; font-size: 0.93em; }
pre, listing, plaintext, xmp { display: block; font-family: monospace; font-size: 0.93em; white-space: pre; margin: 1em 0; }
pre code, pre kbd, pre samp { font-size: 1em; }
big { font-size: 1.2em; }
small { font-size: 0.83em; }
sub { vertical-align: sub; font-size: 0.83em; }
sup { vertical-align: super; font-size: 0.83em; }
mark { background-color: #ff0; color: #000; }
a:link { color: #0000ee; text-decoration: underline; cursor: pointer; }
blockquote, figure { display: block; margin: 1em 40px; }
dd { display: block; margin-left: 40px; }
dl { margin: 1em 0; }
center { display: block; text-align: center; }
hr { display: block; margin: 0.5em 0; border: 1px inset #999; height: 0; }
ul, menu, dir { display: block; list-style-type: disc; margin: 1em 0; padding-left: 40px; }
ol { display: block; list-style-type: decimal; margin: 1em 0; padding-left: 40px; }
li { display: list-item; }
li ul, li ol { margin: 0; }
li ul { list-style-type: circle; }
li li ul { list-style-type: square; }
table { display: table; border-collapse: separate; border-spacing: 2px; border-color: #808080; text-indent: 0; }
thead { display: table-header-group; vertical-align: middle; }
tbody { display: table-row-group; vertical-align: middle; }
tfoot { display: table-footer-group; vertical-align: middle; }
col { display: table-column; }
colgroup { display: table-column-group; }
tr { display: table-row; vertical-align: inherit; border-color: inherit; }
td { display: table-cell; vertical-align: inherit; padding: 1px; }
th { display: table-cell; vertical-align: inherit; padding: 1px; font-weight: bold; text-align: center; }
caption { display: table-caption; text-align: center; }
fieldset { margin: 0 2px; padding: 6px 12px 10px; border: 2px groove #bbb; }
img, video, canvas, iframe, object, embed { display: inline-block; }
audio, svg, math { display: none; }
button, select, textarea, input { display: inline-block; font-size: 0.83em; border: 1px solid #888; padding: 1px 4px; color: #000; background-color: #fff; }
input { width: 160px; height: 15px; }
textarea { width: 320px; height: 60px; font-family: monospace; }
button { background-color: #e6e6e6; padding: 2px 8px; }
option { display: none; }
summary { font-weight: bold; }
)css";

}  // namespace porthole
