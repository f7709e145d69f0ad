"""One load by several processes: is it the same load, what does it cost, and where does it end?"""
