// Writes a picture anew with so many colours at most: `node shrink.cjs FROM TO COLOURS`.
const { readFileSync, writeFileSync } = require('node:fs');
const UPNG = require('upng-js');

const [from, to, colours] = process.argv.slice(2);
const picture = UPNG.decode(readFileSync(from));
const small = UPNG.encode(UPNG.toRGBA8(picture), picture.width, picture.height, Number(colours));
writeFileSync(to, Buffer.from(small));
