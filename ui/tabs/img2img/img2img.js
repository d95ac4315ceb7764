// The scripts of the img2img tab.
import "../../parts/picture.js";
import "./batch.js";
