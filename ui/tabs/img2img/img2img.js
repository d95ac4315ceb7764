// The scripts of the img2img tab.
import "../../parts/init_image.js";
import "./batch.js";
