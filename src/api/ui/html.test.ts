import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Html, markup } from './html.ts';

test('markup escapes what is put in, in text and in attributes', () => {
  const nasty = `<script>alert("1")</script> & 'x'`;
  assert.equal(
    markup`<b title="${nasty}">${nasty}</b>`.text,
    '<b title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;">&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;</b>',
  );
});

test('markup joins lists, leaves out undefined, and takes markup as it is', () => {
  const items = ['a', 'b'].map((text) => markup`<li>${text}</li>`);
  const list = markup`<ul>${items}${undefined}${new Html('<hr>')}</ul>${0}`;
  assert.equal(list.text, '<ul><li>a</li><li>b</li><hr></ul>0');
});
